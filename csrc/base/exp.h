// e^x for whole vectors: the one transcendental function of the softmax kernels.
#pragma once

#include <cstdint>
#include <limits>

#include "base/isa.h"
#include "base/simd.h"

namespace ipse::IPSE_ISA {

namespace detail {

// What the exponential needs to know about a type.
//
// x = n ln 2 + r with |r| <= ln 2 / 2, so e^x = 2^n e^r. `magic` rounds: added to a small
// number it pushes the fraction out of the mantissa, whose low bits are then n itself.
// ln 2 is subtracted in two parts, the first short enough for n * ln2_high to be exact.
// e^r = 1 + r + r^2 q(r), q interpolated at Chebyshev points.
template <class T>
struct Exponential;

template <>
struct Exponential<float> {
    static constexpr int mantissa_bits = 23;
    static constexpr float magic = 12582912.0f;  // 1.5 * 2^23
    static constexpr float ln2_high = 0.693145751953125f;
    static constexpr float ln2_low = 1.4286068203094172e-6f;
    static constexpr float log2_e = 1.44269504088896341f;
    static constexpr float lowest = -87.33654f;  // below: less than the smallest normal number
    static constexpr float highest = 88.722839f;
    // Relative error 1.0e-8.
    static constexpr float q[] = {0.5f, 0.16666577f, 0.041666554f, 0.0083632030f, 0.0013926213f};
};

template <>
struct Exponential<double> {
    static constexpr int mantissa_bits = 52;
    static constexpr double magic = 6755399441055744.0;  // 1.5 * 2^52
    static constexpr double ln2_high = 0.6931471803691238;
    static constexpr double ln2_low = 1.9082149292705877e-10;
    static constexpr double log2_e = 1.44269504088896341;
    static constexpr double lowest = -708.39641853226408;
    static constexpr double highest = 709.78271289338397;
    // Relative error 2.3e-19.
    static constexpr double q[] = {
        0.5,
        0.16666666666666671008,
        0.041666666666666669767,
        0.0083333333333261120526,
        0.0013888888888883731828,
        0.00019841269874901259234,
        2.4801587325605322782e-5,
        2.7557255297969644392e-6,
        2.7557273570102139673e-7,
        2.5105259538448493419e-8,
        2.0914717341716375952e-9,
    };
};

}  // namespace detail

// e^x in each lane, to about one unit in the last place. Results below the smallest normal
// number are 0; NaN stays NaN.
template <class T>
inline Vector<T> exponential(Vector<T> x) noexcept {
    using Constant = detail::Exponential<T>;
    constexpr int terms = static_cast<int>(sizeof(Constant::q) / sizeof(T));
    using Word = typename Simd<T>::Word;
    const Vector<T> shifted = x * broadcast(Constant::log2_e) + broadcast(Constant::magic);
    const Vector<T> n = shifted - broadcast(Constant::magic);
    const Vector<T> r = (x - n * broadcast(Constant::ln2_high)) - n * broadcast(Constant::ln2_low);
    Vector<T> q = broadcast(Constant::q[terms - 1]);
#pragma GCC unroll 10
    for (int i = terms - 2; i >= 0; --i) {
        q = q * r + broadcast(Constant::q[i]);
    }
    const Vector<T> power = (r * r) * q + r + broadcast(T{1});
    // 2^n by adding n to the exponent field; wraps where the result is not used below.
    const Word exponent = reinterpret_cast<Word>(shifted) << Constant::mantissa_bits;
    const Vector<T> scaled = reinterpret_cast<Vector<T>>(reinterpret_cast<Word>(power) + exponent);
    const Vector<T> infinity = broadcast(std::numeric_limits<T>::infinity());
    const Vector<T> bounded = x > broadcast(Constant::highest) ? infinity : scaled;
    const Vector<T> result = x < broadcast(Constant::lowest) ? Vector<T>{} : bounded;
    return x == x ? result : x;
}

}  // namespace ipse::IPSE_ISA
