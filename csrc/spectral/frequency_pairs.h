// What happens to F[k, l] and F[k, -l], given as the four real coefficients of a line of
// frequencies, when amplitudes are taken, exchanged and differentiated.
//
// Plain loops that the compiler vectorises: both sides of every choice are computed.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/isa.h"
#include "spectral/trigonometry.h"

namespace ipse::IPSE_ISA {

// The coefficients of one k, all l.
template <class T>
struct PairLine {
    T* cc;
    T* cs;
    T* sc;
    T* ss;
};

namespace detail {

template <class T>
inline T length(T re, T im) noexcept {
    return std::sqrt(re * re + im * im);
}

// What (re, im) must be multiplied with to have amplitude a, less 1; -1 where it is flat.
template <class T>
inline T scale_to(T re, T im, T a, T least, bool& flat) noexcept {
    const T own = length(re, im);
    flat = own < least;
    const T divisor = flat ? T{1} : own;
    const T scale = a / divisor;
    return (flat ? T{0} : scale) - T{1};
}

// (re, im) and the gradient (gre, gim) that arrives there: the latter becomes what is to be
// added to it. Returns the gradient by the amplitude.
template <class T>
inline T turn(T re, T im, T& gre, T& gim, T a, T least) noexcept {
    const T own = length(re, im);
    const bool flat = own < least;
    const T divisor = flat ? T{1} : own;
    const T inverse = T{1} / divisor;
    const T cosine = re * inverse;
    const T sine = im * inverse;
    const T u = flat ? T{1} : cosine;
    const T v = flat ? T{0} : sine;
    const T turned = a * inverse * (u * gim - v * gre);
    const T across = flat ? T{0} : turned;
    const T along = u * gre + v * gim;
    gre = -v * across - gre;
    gim = u * across - gim;
    return along;
}

}  // namespace detail

// plus[l] = |F[k, l]|, minus[l] = |F[k, -l]|. The two may be one line: their values are equal.
template <class T>
void amplitudes(const PairLine<T>& f, std::int64_t count, T* plus, T* minus) noexcept {
#pragma GCC ivdep
    for (std::int64_t l = 0; l < count; ++l) {
        plus[l] = detail::length(f.cc[l] - f.ss[l], f.sc[l] + f.cs[l]);
        // Where the two are one line, sums of zeros leave the same bits.
        minus[l] = detail::length(f.cc[l] + f.ss[l], f.sc[l] - f.cs[l]);
    }
}

// f becomes the spectrum whose plane is the gradient by the planes.
template <class T>
void amplitudes_back(const PairLine<T>& f, std::int64_t count, const T* plus, const T* minus,
                     T scale, std::int64_t width) noexcept {
    for (std::int64_t l = 0; l < count; ++l) {
        const T share = scale / static_cast<T>(multiplicity(l, width));
        const T p_re = f.cc[l] - f.ss[l];
        const T p_im = f.sc[l] + f.cs[l];  // of the conjugate, as is m_im
        const T m_re = f.cc[l] + f.ss[l];
        const T m_im = f.sc[l] - f.cs[l];
        const T p_own = detail::length(p_re, p_im);
        const T m_own = detail::length(m_re, m_im);
        // |F| has a corner at 0: its slope counts as 0 there.
        const T p = p_own > T{0} ? share * plus[l] / p_own : T{0};
        const T m = m_own > T{0} ? share * minus[l] / m_own : T{0};
        f.cc[l] = (p * p_re + m * m_re) / 2;
        f.ss[l] = (m * m_re - p * p_re) / 2;
        f.sc[l] = (p * p_im + m * m_im) / 2;
        f.cs[l] = (p * p_im - m * m_im) / 2;
    }
}

// f becomes the change that gives it the amplitudes plus and minus.
template <class T>
void exchange(const PairLine<T>& f, std::int64_t count, const T* plus, const T* minus,
              T least) noexcept {
#pragma GCC ivdep
    for (std::int64_t l = 0; l < count; ++l) {
        const T p_re = f.cc[l] - f.ss[l];
        const T p_im = f.sc[l] + f.cs[l];
        const T m_re = f.cc[l] + f.ss[l];
        const T m_im = f.sc[l] - f.cs[l];
        bool p_flat;
        bool m_flat;
        const T p = detail::scale_to(p_re, p_im, plus[l], least, p_flat);
        const T m = detail::scale_to(m_re, m_im, minus[l], least, m_flat);
        const T p_to = p * p_re + (p_flat ? plus[l] : T{0});
        const T m_to = m * m_re + (m_flat ? minus[l] : T{0});
        f.cc[l] = (p_to + m_to) / 2;
        f.ss[l] = (m_to - p_to) / 2;
        f.sc[l] = (p * p_im + m * m_im) / 2;
        f.cs[l] = (p * p_im - m * m_im) / 2;
    }
}

// g becomes what is to be added to the gradient; f.cc and f.cs the gradients by plus and minus.
template <class T>
void exchange_back(const PairLine<T>& f, const PairLine<T>& g, std::int64_t count, const T* plus,
                   const T* minus, T least) noexcept {
#pragma GCC ivdep
    for (std::int64_t l = 0; l < count; ++l) {
        T p_re = g.cc[l] - g.ss[l];
        T p_im = g.sc[l] + g.cs[l];
        T m_re = g.cc[l] + g.ss[l];
        T m_im = g.sc[l] - g.cs[l];
        const T by_plus =
            detail::turn(f.cc[l] - f.ss[l], f.sc[l] + f.cs[l], p_re, p_im, plus[l], least);
        const T by_minus =
            detail::turn(f.cc[l] + f.ss[l], f.sc[l] - f.cs[l], m_re, m_im, minus[l], least);
        g.cc[l] = (p_re + m_re) / 2;
        g.ss[l] = (m_re - p_re) / 2;
        g.sc[l] = (p_im + m_im) / 2;
        g.cs[l] = (p_im - m_im) / 2;
        f.cc[l] = by_plus;
        f.cs[l] = by_minus;
    }
}

}  // namespace ipse::IPSE_ISA
