// Vectors across a batch: lane i of every vector belongs to plane i, so any algorithm on one
// plane runs on all of them at once, without a shuffle.
#pragma once

#include <cstdint>

#include "base/isa.h"

namespace ipse::IPSE_ISA {

// `count` may be less than a register holds: a batch of few planes wastes less of a narrow one.
template <class T, int count>
struct Lanes {
    typedef T Vector __attribute__((vector_size(count * sizeof(T))));
    using Scalar = T;
    static constexpr int lanes = count;
};

// Lanes of the widest and of the narrowest vectors in use.
template <class T>
constexpr int most_lanes = IPSE_VECTOR_BYTES / static_cast<int>(sizeof(T));
template <class T>
constexpr int fewest_lanes = 16 / static_cast<int>(sizeof(T));

template <class L>
struct Complex {
    typename L::Vector re;
    typename L::Vector im;
};

// |z|, lane by lane.
template <class L>
inline typename L::Vector modulus(const Complex<L>& z) noexcept {
    const typename L::Vector squares = z.re * z.re + z.im * z.im;
    typename L::Vector roots;
#pragma GCC unroll 16
    for (int lane = 0; lane < L::lanes; ++lane) {
        if constexpr (sizeof(typename L::Scalar) == 8) {
            roots[lane] = __builtin_sqrt(squares[lane]);
        } else {
            roots[lane] = __builtin_sqrtf(squares[lane]);
        }
    }
    return roots;
}

}  // namespace ipse::IPSE_ISA
