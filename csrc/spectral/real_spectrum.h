// The discrete Fourier transform of 2, 4, ... 32 real values and its transpose, in registers,
// one transform in each lane:
//
//     cosine[k] = sum over j of x[j] cos(2 pi j k / n),    sine[k] likewise,    k = 0 .. n/2.
//
// sine[0] and sine[n/2] are zero; they are neither written nor read.
#pragma once

#include "base/simd.h"

namespace ipse::IPSE_ISA {

// cos(pi k / 32) from k = 0 to 16.
constexpr double cosines[17] = {
    1.0,
    0.995184726672196886244836953109480,
    0.980785280403230449126182236134239,
    0.956940335732208864935797886980270,
    0.923879532511286756128183189396788,
    0.881921264348355029712756863660388,
    0.831469612302545237078788377617906,
    0.773010453362736960810906609758470,
    0.707106781186547524400844362104849,
    0.634393284163645498215171613225493,
    0.555570233019602224742830813948533,
    0.471396736825997648556387625905254,
    0.382683432365089771728459984030399,
    0.290284677254462367636192375817395,
    0.195090322016128267848284868477022,
    0.098017140329560601994195563888642,
    0.0,
};

// cos and sin of k / n of a turn, at most a quarter; n a power of two, at most 64.
constexpr double cosine_of_turn(int k, int n) noexcept {
    return cosines[k * 64 / n];
}
constexpr double sine_of_turn(int k, int n) noexcept {
    return cosines[16 - k * 64 / n];
}

// value(j) is x[j], each wanted once. Of twice as many values the even and the odd ones are
// transformed, then joined: X[k] = E[k] + w^k O[k] and X[n/2 - k] = conj(E[k] - w^k O[k]).
template <class T, int n, int first = 0, int step = 1, class Value>
[[gnu::always_inline]] inline void analyse(const Value& value, Vector<T>* cosine,
                                           Vector<T>* sine) noexcept {
    if constexpr (n == 2) {
        const Vector<T> a = value(first);
        const Vector<T> b = value(first + step);
        cosine[0] = a + b;
        cosine[1] = a - b;
    } else {
        constexpr int half = n / 2;
        constexpr int quarter = n / 4;
        Vector<T> even[2][quarter + 1];
        Vector<T> odd[2][quarter + 1];
        analyse<T, half, first, 2 * step>(value, even[0], even[1]);
        analyse<T, half, first + step, 2 * step>(value, odd[0], odd[1]);
        cosine[0] = even[0][0] + odd[0][0];
        cosine[half] = even[0][0] - odd[0][0];
        cosine[quarter] = even[0][quarter];
        sine[quarter] = odd[0][quarter];
#pragma GCC unroll 8
        for (int k = 1; k < quarter; ++k) {
            const T c = static_cast<T>(cosine_of_turn(k, n));
            const T s = static_cast<T>(sine_of_turn(k, n));
            const Vector<T> turned = c * odd[0][k] - s * odd[1][k];
            const Vector<T> turned_sine = c * odd[1][k] + s * odd[0][k];
            cosine[k] = even[0][k] + turned;
            sine[k] = even[1][k] + turned_sine;
            cosine[half - k] = even[0][k] - turned;
            sine[half - k] = turned_sine - even[1][k];
        }
    }
}

// put(j, x[j]) where x[j] = sum over k = 0 .. n/2 of cosine[k] cos(2 pi j k / n) + sine[k]
// sin(...).
template <class T, int n, int first = 0, int step = 1, class Put>
[[gnu::always_inline]] inline void synthesise(const Vector<T>* cosine, const Vector<T>* sine,
                                              const Put& put) noexcept {
    if constexpr (n == 2) {
        put(first, cosine[0] + cosine[1]);
        put(first + step, cosine[0] - cosine[1]);
    } else {
        constexpr int half = n / 2;
        constexpr int quarter = n / 4;
        Vector<T> even[2][quarter + 1];
        Vector<T> odd[2][quarter + 1];
        even[0][0] = cosine[0] + cosine[half];
        odd[0][0] = cosine[0] - cosine[half];
        even[0][quarter] = cosine[quarter];
        odd[0][quarter] = sine[quarter];
#pragma GCC unroll 8
        for (int k = 1; k < quarter; ++k) {
            const T c = static_cast<T>(cosine_of_turn(k, n));
            const T s = static_cast<T>(sine_of_turn(k, n));
            even[0][k] = cosine[k] + cosine[half - k];
            even[1][k] = sine[k] - sine[half - k];
            const Vector<T> turned = cosine[k] - cosine[half - k];
            const Vector<T> turned_sine = sine[k] + sine[half - k];
            odd[0][k] = c * turned + s * turned_sine;
            odd[1][k] = c * turned_sine - s * turned;
        }
        synthesise<T, half, first, 2 * step>(even[0], even[1], put);
        synthesise<T, half, first + step, 2 * step>(odd[0], odd[1], put);
    }
}

}  // namespace ipse::IPSE_ISA
