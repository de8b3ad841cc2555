// Multiplies tiles of derivatives out into the gradients of both sides.
#pragma once

#include <cstdint>

#include "base/multiply.h"
#include "base/parallel.h"
#include "base/shares.h"
#include "similarity/tiles.h"
#include "similarity/unit_rows.h"

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

// Gradients by the unit rows, added up separately in each slot.
template <class T>
class TileGradient {
public:
    TileGradient(const UnitRows<T>& left, const UnitRows<T>& right, bool symmetric, int slots,
                 bool want_left, bool want_right)
        : left_(left),
          right_(right),
          symmetric_(symmetric),
          slots_(slots),
          width_(left.padded_depth()),
          left_elements_(want_left ? (padded_rows<T>(left.rows()) + Panel<T>::rows) * width_ : 0),
          right_elements_(want_right && !symmetric
                              ? (padded_rows<T>(right.rows()) + Panel<T>::rows) * width_
                              : 0),
          sums_(slots, left_elements_ + right_elements_) {}

    void clear(int slot) const noexcept {
        for (std::int64_t i = 0; i < left_elements_ + right_elements_; ++i) {
            sums_[slot][i] = T{0};
        }
    }

    void add(const SimilarityTile<T>& tile, int slot) const noexcept {
        T* left = sums_[slot];
        T* right = symmetric_ ? left : left + left_elements_;
        if (left_elements_ > 0) {
            multiply(tile.data, TileByRows<T>{}, tile.rows, tile.cols, right_.line(tile.col),
                     right_.leading(), left + tile.row * width_);
        }
        if (symmetric_ ? left_elements_ > 0 : right_elements_ > 0) {
            multiply(tile.data, TileByColumns<T>{}, tile.cols, tile.rows, left_.line(tile.row),
                     left_.leading(), right + tile.col * width_);
        }
    }

    // Adds the slots' sums into the first and hands each row to its side.
    void write(const Stack& grad_left, const Stack& grad_right, int threads) const noexcept {
        if (left_elements_ > 0) {
            write_side(left_, 0, grad_left, threads);
        }
        if (right_elements_ > 0) {
            write_side(right_, left_elements_, grad_right, threads);
        }
    }

private:
    // to[i][d] += sum over k of left(i, k) * right[k][d].
    template <class Left>
    void multiply(const T* left, Left step, std::int64_t rows, std::int64_t depth, const T* right,
                  std::int64_t right_stride, T* to) const noexcept {
        for (std::int64_t i = 0; i < rows; i += Panel<T>::strip) {
            for (std::int64_t d = 0; d < width_; d += Panel<T>::rows) {
                multiply_strip<T, true>(depth, left + i * step.row, step, right + d, right_stride,
                                        to + i * width_ + d, width_);
            }
        }
    }

    void write_side(const UnitRows<T>& side, std::int64_t offset, const Stack& to,
                    int threads) const noexcept {
        parallel_for(panel_count<T>(side.rows()), threads, [&](std::int64_t panel, int) {
            const std::int64_t first = panel * Panel<T>::rows;
            const std::int64_t last =
                side.rows() < first + Panel<T>::rows ? side.rows() : first + Panel<T>::rows;
            for (std::int64_t row = first; row < last; ++row) {
                T* sum = sums_[0] + offset + row * width_;
                for (int slot = 1; slot < slots_; ++slot) {
                    const T* other = sums_[slot] + offset + row * width_;
                    for (std::int64_t d = 0; d < side.depth(); ++d) {
                        sum[d] += other[d];
                    }
                }
                side.write_gradient(row, sum, to);
            }
        });
    }

    const UnitRows<T>& left_;
    const UnitRows<T>& right_;
    bool symmetric_;
    int slots_;
    std::int64_t width_;
    std::int64_t left_elements_;
    std::int64_t right_elements_;
    Shares<T> sums_;
};

}  // namespace ipse::IPSE_ISA
