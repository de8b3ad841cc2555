// Vectors through the compiler's vector extension: one definition for all instruction sets.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "base/isa.h"

namespace ipse::IPSE_ISA {

template <class T>
struct Simd {
    static constexpr int lanes = IPSE_VECTOR_BYTES / static_cast<int>(sizeof(T));
    typedef T Vector __attribute__((vector_size(IPSE_VECTOR_BYTES)));
    // The same register read from or written to any address of a T.
    typedef T Unaligned
        __attribute__((vector_size(IPSE_VECTOR_BYTES), aligned(alignof(T)), may_alias));
    // The result of a comparison, and the lanes as bits.
    using Integer = std::conditional_t<sizeof(T) == 8, std::int64_t, std::int32_t>;
    typedef Integer Bits __attribute__((vector_size(IPSE_VECTOR_BYTES)));
    // For arithmetic on the lanes' bits, which wraps.
    typedef std::make_unsigned_t<Integer> Word __attribute__((vector_size(IPSE_VECTOR_BYTES)));
};

template <class T>
using Vector = typename Simd<T>::Vector;

template <class T>
inline Vector<T> load(const T* from) noexcept {
    return *reinterpret_cast<const typename Simd<T>::Unaligned*>(from);
}

template <class T>
inline void store(T* to, Vector<T> value) noexcept {
    *reinterpret_cast<typename Simd<T>::Unaligned*>(to) = value;
}

template <class T>
inline Vector<T> broadcast(T value) noexcept {
    return value - Vector<T>{};  // value - 0 == value for every value, NaN and -0 included
}

template <class T>
inline Vector<T> larger(Vector<T> a, Vector<T> b) noexcept {
    return a > b ? a : b;
}

// The lanes' sum, halves folded onto each other: a fixed order.
template <class T>
inline T sum_lanes(Vector<T> value) noexcept {
    T lanes[Simd<T>::lanes];
    store(lanes, value);
#pragma GCC unroll 4
    for (int width = Simd<T>::lanes / 2; width > 0; width /= 2) {
#pragma GCC unroll 8
        for (int lane = 0; lane < width; ++lane) {
            lanes[lane] += lanes[lane + width];
        }
    }
    return lanes[0];
}

template <class T>
inline T largest_lane(Vector<T> value) noexcept {
    T lanes[Simd<T>::lanes];
    store(lanes, value);
#pragma GCC unroll 4
    for (int width = Simd<T>::lanes / 2; width > 0; width /= 2) {
#pragma GCC unroll 8
        for (int lane = 0; lane < width; ++lane) {
            lanes[lane] = lanes[lane] > lanes[lane + width] ? lanes[lane] : lanes[lane + width];
        }
    }
    return lanes[0];
}

namespace detail {

// [a0 b0 a1 b1 ...] from the first (half = 0) or second (half = 1) halves of a and b.
template <class T, int half, int... lane>
inline Vector<T> interleave(Vector<T> a, Vector<T> b,
                            std::integer_sequence<int, lane...>) noexcept {
    constexpr int lanes = Simd<T>::lanes;
    return __builtin_shufflevector(a, b, (half * lanes / 2 + lane / 2 + (lane % 2) * lanes)...);
}

}  // namespace detail

// Transposes a square of lanes x lanes values held in registers: each perfect
// shuffle of rows i and i + lanes/2 moves one bit of the row index into the
// column index, so log2(lanes) rounds swap the two.
template <class T>
inline void transpose(Vector<T> (&rows)[Simd<T>::lanes]) noexcept {
    constexpr int lanes = Simd<T>::lanes;
    using Lanes = std::make_integer_sequence<int, lanes>;
#pragma GCC unroll 4
    for (int round = 1; round < lanes; round *= 2) {
        Vector<T> shuffled[lanes];
#pragma GCC unroll 8
        for (int i = 0; i < lanes / 2; ++i) {
            shuffled[2 * i] = detail::interleave<T, 0>(rows[i], rows[i + lanes / 2], Lanes{});
            shuffled[2 * i + 1] = detail::interleave<T, 1>(rows[i], rows[i + lanes / 2], Lanes{});
        }
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i) {
            rows[i] = shuffled[i];
        }
    }
}

}  // namespace ipse::IPSE_ISA
