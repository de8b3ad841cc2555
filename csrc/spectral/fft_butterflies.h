// Discrete Fourier transforms of length 2, 3, 4, 5 and 8, in registers.
#pragma once

#include "base/isa.h"
#include "spectral/lanes.h"

namespace ipse::IPSE_ISA {
namespace detail {

template <class L>
inline Complex<L> operator+(const Complex<L>& a, const Complex<L>& b) noexcept {
    return {a.re + b.re, a.im + b.im};
}

template <class L>
inline Complex<L> operator-(const Complex<L>& a, const Complex<L>& b) noexcept {
    return {a.re - b.re, a.im - b.im};
}

template <class L>
inline Complex<L> operator*(typename L::Scalar a, const Complex<L>& b) noexcept {
    return {a * b.re, a * b.im};
}

// a - i b and a + i b.
template <class L>
inline Complex<L> minus_i(const Complex<L>& a, const Complex<L>& b) noexcept {
    return {a.re + b.im, a.im - b.re};
}

template <class L>
inline Complex<L> plus_i(const Complex<L>& a, const Complex<L>& b) noexcept {
    return {a.re - b.im, a.im + b.re};
}

// a exp(-i angle), the angle as (cos, sin).
template <class L>
inline Complex<L> turned(const Complex<L>& a, const typename L::Scalar* angle) noexcept {
    return {a.re * angle[0] + a.im * angle[1], a.im * angle[0] - a.re * angle[1]};
}

template <class L>
[[gnu::always_inline]] inline void butterfly(Complex<L> (&a)[2]) noexcept {
    const Complex<L> difference = a[0] - a[1];
    a[0] = a[0] + a[1];
    a[1] = difference;
}

template <class L>
[[gnu::always_inline]] inline void butterfly(Complex<L> (&a)[3]) noexcept {
    using T = typename L::Scalar;
    const Complex<L> sum = a[1] + a[2];
    const Complex<L> sine = T(0.866025403784438646763723170752936) * (a[1] - a[2]);
    const Complex<L> cosine = a[0] - T(0.5) * sum;
    a[0] = a[0] + sum;
    a[1] = minus_i(cosine, sine);
    a[2] = plus_i(cosine, sine);
}

template <class L>
[[gnu::always_inline]] inline void butterfly(Complex<L> (&a)[4]) noexcept {
    const Complex<L> even = a[0] + a[2];
    const Complex<L> even_difference = a[0] - a[2];
    const Complex<L> odd = a[1] + a[3];
    const Complex<L> odd_difference = a[1] - a[3];
    a[0] = even + odd;
    a[1] = minus_i(even_difference, odd_difference);
    a[2] = even - odd;
    a[3] = plus_i(even_difference, odd_difference);
}

template <class L>
[[gnu::always_inline]] inline void butterfly(Complex<L> (&a)[5]) noexcept {
    using T = typename L::Scalar;
    constexpr T cos1 = T(0.309016994374947424102293417182819);
    constexpr T cos2 = T(-0.809016994374947424102293417182819);
    constexpr T sin1 = T(0.951056516295153572116439333379382);
    constexpr T sin2 = T(0.587785252292473129168705954639073);
    const Complex<L> outer = a[1] + a[4];
    const Complex<L> inner = a[2] + a[3];
    const Complex<L> outer_difference = a[1] - a[4];
    const Complex<L> inner_difference = a[2] - a[3];
    const Complex<L> cosine1 = a[0] + cos1 * outer + cos2 * inner;
    const Complex<L> cosine2 = a[0] + cos2 * outer + cos1 * inner;
    const Complex<L> sine1 = sin1 * outer_difference + sin2 * inner_difference;
    const Complex<L> sine2 = sin2 * outer_difference - sin1 * inner_difference;
    a[0] = a[0] + outer + inner;
    a[1] = minus_i(cosine1, sine1);
    a[2] = minus_i(cosine2, sine2);
    a[3] = plus_i(cosine2, sine2);
    a[4] = plus_i(cosine1, sine1);
}

template <class L>
[[gnu::always_inline]] inline void butterfly(Complex<L> (&a)[8]) noexcept {
    using T = typename L::Scalar;
    constexpr T half_root = T(0.707106781186547524400844362104849);
    Complex<L> even[4] = {a[0], a[2], a[4], a[6]};
    Complex<L> odd[4] = {a[1], a[3], a[5], a[7]};
    butterfly(even);
    butterfly(odd);
    const Complex<L> first = odd[1];
    const Complex<L> third = odd[3];
    odd[1] = {half_root * (first.re + first.im), half_root * (first.im - first.re)};
    odd[3] = {half_root * (third.im - third.re), -half_root * (third.re + third.im)};
    a[0] = even[0] + odd[0];
    a[4] = even[0] - odd[0];
    a[1] = even[1] + odd[1];
    a[5] = even[1] - odd[1];
    a[2] = minus_i(even[2], odd[2]);
    a[6] = plus_i(even[2], odd[2]);
    a[3] = even[3] + odd[3];
    a[7] = even[3] - odd[3];
}

}  // namespace detail
}  // namespace ipse::IPSE_ISA
