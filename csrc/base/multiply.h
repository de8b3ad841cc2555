// The inner product of the tile GEMM: packed panels in, a dense block of C out.
// Called by tile_gemm.h and by the engines' own drivers; serial, no allocation.
#pragma once

#include <cstdint>

#include "base/isa.h"
#include "base/panels.h"
#include "base/simd.h"

namespace ipse::IPSE_ISA {

// Depth of one pass: a left strip (8 x 256 floats, spread over 16 KiB of lines) stays
// in L1 while the right panels (32 KiB each) stream from L2.
constexpr std::int64_t depth_block = 256;

// Where the left factor's element (i, k) lies: left[i * row + k * depth].
template <class T>
struct PackedLeft {
    static constexpr std::int64_t row = 1;
    static constexpr std::int64_t depth = Panel<T>::rows;
};

// c[i][j] (+)= sum over k of left(i, k) * right[k][j], for one strip of rows and one panel of
// columns. right: Panel::rows values every right_stride.
template <class T, bool accumulate, class Left, int strip = Panel<T>::strip>
inline void multiply_strip(std::int64_t depth, const T* __restrict left, Left step,
                           const T* __restrict right, std::int64_t right_stride, T* __restrict c,
                           std::int64_t c_stride) noexcept {
    constexpr int vectors = Panel<T>::vectors;
    constexpr int lanes = Simd<T>::lanes;
    Vector<T> sum[strip][vectors] = {};
    if constexpr (accumulate) {
        // C is wanted only after the sum: the time of the loop hides its way from memory.
#pragma GCC unroll 8
        for (int i = 0; i < strip; ++i) {
            __builtin_prefetch(c + i * c_stride, 1);
            __builtin_prefetch(c + i * c_stride + lanes, 1);
        }
    }
    for (std::int64_t k = 0; k < depth; ++k) {
        Vector<T> line[vectors];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) {
            line[v] = load(right + v * lanes);
        }
#pragma GCC unroll 8
        for (int i = 0; i < strip; ++i) {
            const Vector<T> value = broadcast(left[i * step.row]);
#pragma GCC unroll 4
            for (int v = 0; v < vectors; ++v) {
                sum[i][v] += value * line[v];
            }
        }
        left += step.depth;
        right += right_stride;
    }
#pragma GCC unroll 8
    for (int i = 0; i < strip; ++i) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) {
            T* to = c + i * c_stride + v * lanes;
            store(to, accumulate ? load(to) + sum[i][v] : sum[i][v]);
        }
    }
}

// A rectangle of the product, in whole strips and panels.
struct Block {
    std::int64_t row_begin = 0;    // multiple of Panel::strip
    std::int64_t row_end = 0;      // rounded up to Panel::strip by the callee
    std::int64_t panel_begin = 0;  // panels of the right operand = Panel::rows columns each
    std::int64_t panel_end = 0;
    bool upper_only = false;  // skip what lies wholly below the diagonal
};

// c (+)= left[rows] * right[panels]^T over k in [k_begin, k_end) of both operands.
// `c` points at (block.row_begin, block.panel_begin * Panel::rows), padded to whole strips and
// panels.
template <class T>
inline void multiply_block(const PackedMatrix<T>& left, const PackedMatrix<T>& right,
                           const Block& block, std::int64_t k_begin, std::int64_t k_end, T* c,
                           std::int64_t c_stride, bool accumulate) noexcept {
    constexpr int panel_rows = Panel<T>::rows;
    std::int64_t k = k_begin;
    do {
        const std::int64_t depth = k_end - k < depth_block ? k_end - k : depth_block;
        for (std::int64_t row = block.row_begin; row < block.row_end; row += Panel<T>::strip) {
            const T* a = left.panel(row / panel_rows) + k * panel_rows + row % panel_rows;
            T* line = c + (row - block.row_begin) * c_stride;
            std::int64_t panel = block.panel_begin;
            if (block.upper_only && row / panel_rows > panel) {
                panel = row / panel_rows;
            }
            for (; panel < block.panel_end; ++panel) {
                const T* b = right.panel(panel) + k * panel_rows;
                T* to = line + (panel - block.panel_begin) * panel_rows;
                if (accumulate) {
                    multiply_strip<T, true>(depth, a, PackedLeft<T>{}, b, panel_rows, to, c_stride);
                } else {
                    multiply_strip<T, false>(depth, a, PackedLeft<T>{}, b, panel_rows, to,
                                             c_stride);
                }
            }
        }
        k += depth;
        accumulate = true;
    } while (k < k_end);
}

}  // namespace ipse::IPSE_ISA
