// Packed operands: the layout in which the tile GEMM reads both of its factors.
//
// A matrix of `rows` x `depth` is cut into panels of Panel<T>::rows rows. Inside a
// panel the depth runs slowest, so the multiply reads one contiguous line of
// `Panel::rows` values for each step of the sum:
//
//     panels[(row / R) * R * depth + k * R + row % R],   R = Panel<T>::rows
//
// The last panel is filled up with zeros. One layout serves both sides of a
// product (the left side reads Panel::strip rows of a panel at a time), so a
// matrix times its own transpose is packed once.
#pragma once

#include <cstdint>

#include "base/half.h"
#include "base/isa.h"
#include "base/simd.h"

namespace ipse::IPSE_ISA {

template <class T>
struct Panel {
    // 32 registers (AVX-512) hold 8 x 2 accumulators with room to spare and reach the
    // FMA peak (117 of 118 GFLOP/s on Zen 4); 16 registers hold 4 x 3.
    static constexpr int vectors = IPSE_VECTOR_BYTES == 32 ? 3 : 2;
    static constexpr int strip = IPSE_VECTOR_BYTES == 64 ? 8 : 4;
    static constexpr int rows = vectors * Simd<T>::lanes;
    static_assert(rows % strip == 0);
};

template <class T>
constexpr std::int64_t panel_count(std::int64_t rows) noexcept {
    return (rows + Panel<T>::rows - 1) / Panel<T>::rows;
}

template <class T>
constexpr std::int64_t padded_rows(std::int64_t rows) noexcept {
    return panel_count<T>(rows) * Panel<T>::rows;
}

template <class T>
struct PackedMatrix {
    T* data = nullptr;
    std::int64_t rows = 0;
    std::int64_t depth = 0;

    T* panel(std::int64_t index) const noexcept { return data + index * Panel<T>::rows * depth; }
    static constexpr std::int64_t elements(std::int64_t rows, std::int64_t depth) noexcept {
        return padded_rows<T>(rows) * depth;
    }
};

// A matrix to be packed: element (row, k) lies at data[row * row_stride + k * depth_stride].
template <class S>
struct Source {
    const S* data = nullptr;
    std::int64_t row_stride = 0;
    std::int64_t depth_stride = 0;
};

namespace detail {

template <class T, class S>
inline void pack_any(const Source<S>& from, std::int64_t row, int rows, std::int64_t k_begin,
                     std::int64_t k_end, T* to) noexcept {
    for (std::int64_t k = k_begin; k < k_end; ++k, to += Panel<T>::rows) {
        const S* line = from.data + row * from.row_stride + k * from.depth_stride;
        for (int r = 0; r < rows; ++r) {
            to[r] = read<T>(line[r * from.row_stride]);
        }
        for (int r = rows; r < Panel<T>::rows; ++r) {
            to[r] = T{0};
        }
    }
}

// Whole panel, neighbouring rows adjacent in memory: a copy.
template <class T, class S>
inline void pack_adjacent_rows(const Source<S>& from, std::int64_t row, std::int64_t k_begin,
                               std::int64_t k_end, T* to) noexcept {
    for (std::int64_t k = k_begin; k < k_end; ++k, to += Panel<T>::rows) {
        const S* line = from.data + row + k * from.depth_stride;
        for (int r = 0; r < Panel<T>::rows; ++r) {
            to[r] = read<T>(line[r]);
        }
    }
}

// Whole panel, neighbouring k adjacent in memory: squares of lanes x lanes are
// transposed in registers.
template <class T, class S>
inline void pack_adjacent_depth(const Source<S>& from, std::int64_t row, std::int64_t k_begin,
                                std::int64_t k_end, T* to) noexcept {
    constexpr int lanes = Simd<T>::lanes;
    std::int64_t k = k_begin;
    for (; k + lanes <= k_end; k += lanes, to += lanes * Panel<T>::rows) {
#pragma GCC unroll 1
        for (int block = 0; block < Panel<T>::vectors; ++block) {
            Vector<T> square[lanes];
            const S* corner = from.data + (row + block * lanes) * from.row_stride + k;
            for (int r = 0; r < lanes; ++r) {
                const S* line = corner + r * from.row_stride;
                if constexpr (sizeof(S) == sizeof(T)) {
                    square[r] = load(line);
                } else {
                    alignas(IPSE_VECTOR_BYTES) T widened[lanes];
                    for (int lane = 0; lane < lanes; ++lane) {
                        widened[lane] = read<T>(line[lane]);
                    }
                    square[r] = load(widened);
                }
            }
            transpose<T>(square);
            for (int lane = 0; lane < lanes; ++lane) {
                store(to + lane * Panel<T>::rows + block * lanes, square[lane]);
            }
        }
    }
    pack_any(from, row, Panel<T>::rows, k, k_end, to);
}

}  // namespace detail

// Packs panel `index` of a source of `rows` rows, k in [k_begin, k_end), to `to`
// (the place of k_begin in that panel).
template <class T, class S>
inline void pack_panel(const Source<S>& from, std::int64_t rows, std::int64_t index,
                       std::int64_t k_begin, std::int64_t k_end, T* to) noexcept {
    const std::int64_t row = index * Panel<T>::rows;
    const std::int64_t present = rows - row;
    if (present < Panel<T>::rows) {
        detail::pack_any(from, row, static_cast<int>(present), k_begin, k_end, to);
    } else if (from.row_stride == 1) {
        detail::pack_adjacent_rows(from, row, k_begin, k_end, to);
    } else if (from.depth_stride == 1) {
        detail::pack_adjacent_depth(from, row, k_begin, k_end, to);
    } else {
        detail::pack_any(from, row, Panel<T>::rows, k_begin, k_end, to);
    }
}

}  // namespace ipse::IPSE_ISA
