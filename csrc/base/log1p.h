// log(1 + e) for e in [0, 1], whole vectors: with exp.h all that a softplus needs.
#pragma once

#include "base/isa.h"
#include "base/simd.h"

namespace ipse::IPSE_ISA {

// log(1 + e) = 2 atanh(t) = 2 t (1 + t^2 / 3 + t^4 / 5 + ...), t = e / (2 + e) <= 1/3: every term
// is a ninth of the one before, and small e keep their relative accuracy.
template <class T>
inline Vector<T> log1p_unit(Vector<T> e) noexcept {
    constexpr int terms = sizeof(T) == 8 ? 17 : 8;
    const Vector<T> t = e / (e + broadcast(T{2}));
    const Vector<T> square = t * t;
    Vector<T> series = broadcast(T{1} / T{2 * terms + 1});
#pragma GCC unroll 16
    for (int k = terms - 1; k >= 0; --k) {
        series = series * square + broadcast(T{1} / static_cast<T>(2 * k + 1));
    }
    return broadcast(T{2}) * t * series;
}

}  // namespace ipse::IPSE_ISA
