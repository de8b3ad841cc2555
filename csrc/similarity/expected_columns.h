// The softmax-weighted mean of the columns, for every row: sum_j softmax(logits_i)_j y_j.
//
// It is the derivative of the row's logsumexp, but for the scale. Where the columns are
// constants (a queue of past keys), adding it up on the way forward makes the whole backward
// pass unnecessary: two products instead of three.
#pragma once

#include <cstdint>

#include "base/matrix.h"
#include "base/shares.h"
#include "similarity/tile_product.h"
#include "similarity/tiles.h"
#include "similarity/unit_rows.h"

namespace ipse::IPSE_ISA {

template <class T>
class ExpectedColumns {
public:
    // to: (M, D) in C order; null data: nothing is added up.
    ExpectedColumns(const UnitRows<T>& left, const UnitRows<T>& right, const StridedMatrix& to,
                    int slots)
        : right_(right),
          to_(static_cast<T*>(to.data)),
          width_(left.padded_depth()),
          elements_(wanted() ? (padded_rows<T>(left.rows()) + Panel<T>::rows) * width_ : 0),
          sums_(slots, elements_) {}

    bool wanted() const noexcept { return to_ != nullptr; }

    void clear(int slot) const noexcept {
        for (std::int64_t i = 0; i < elements_; ++i) {
            sums_[slot][i] = T{0};
        }
    }

    // A row's largest logit has changed: what has been summed so far follows.
    void rescale(int slot, std::int64_t row, T factor) const noexcept {
        if (factor == T{1}) {
            return;
        }
        T* line = sums_[slot] + row * width_;
        for (std::int64_t d = 0; d < width_; ++d) {
            line[d] *= factor;
        }
    }

    // The tile holds exp(logit - top), 0 where hidden.
    void add(const SimilarityTile<T>& tile, int slot) const noexcept {
        multiply_tile(tile.data, TileByRows<T>{}, tile.rows, tile.cols, right_.line(tile.col),
                      right_.leading(), sums_[slot] + tile.row * width_, width_);
    }

    // Starts a row of the result, adds a slot's share to it.
    void start(std::int64_t row) const noexcept {
        for (std::int64_t d = 0; d < right_.depth(); ++d) {
            to_[row * right_.depth() + d] = T{0};
        }
    }
    void finish(int slot, std::int64_t row, T share) const noexcept {
        const T* line = sums_[slot] + row * width_;
        T* to = to_ + row * right_.depth();
        for (std::int64_t d = 0; d < right_.depth(); ++d) {
            to[d] += share * line[d];
        }
    }

private:
    const UnitRows<T>& right_;
    T* to_;
    std::int64_t width_;
    std::int64_t elements_;
    Shares<T> sums_;
};

}  // namespace ipse::IPSE_ISA
