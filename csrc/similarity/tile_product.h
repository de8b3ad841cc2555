// The product of a tile, in place as it was computed, with rows of one of the sides.
#pragma once

#include <cstdint>

#include "base/multiply.h"
#include "similarity/tiles.h"

namespace ipse::IPSE_ISA {

// The tile as a left factor, by its rows and by its columns.
template <class T>
struct TileByRows {
    static constexpr std::int64_t row = tile_stride<T>;
    static constexpr std::int64_t depth = 1;
};
template <class T>
struct TileByColumns {
    static constexpr std::int64_t row = 1;
    static constexpr std::int64_t depth = tile_stride<T>;
};

// to[i][d] += sum over k of left(i, k) * right[k][d], d < width, whole panels; `to` has lines
// of width and room for whole strips.
template <class T, class Left>
void multiply_tile(const T* left, Left step, std::int64_t rows, std::int64_t depth, const T* right,
                   std::int64_t right_stride, T* to, std::int64_t width) noexcept {
    // Rows of the right factor at a time: a panel of them (16 KiB) stays in L1 while all
    // strips of the tile pass.
    constexpr std::int64_t chunk = 128;
    for (std::int64_t k = 0; k < depth; k += chunk) {
        const std::int64_t count = depth - k < chunk ? depth - k : chunk;
        for (std::int64_t d = 0; d < width; d += Panel<T>::rows) {
            for (std::int64_t i = 0; i < rows; i += Panel<T>::strip) {
                multiply_strip<T, true>(count, left + i * step.row + k * step.depth, step,
                                        right + k * right_stride + d, right_stride,
                                        to + i * width + d, width);
            }
        }
    }
}

}  // namespace ipse::IPSE_ISA
