// The backward pass: each tile of similarities is computed again, turned into the objective's
// derivative by the similarities, and multiplied out into the gradients of both sides.
//
// With weights a (of the rows' logsumexp), b (of the columns') and p (of the positives):
//     G_ij = a_i scale_i e^(logit_ij - logsumexp_i) + b_j scale_j e^(logit_ij - logsumexp_j)
//            + p_i where j is a positive of i
//     d rows = G columns,  d columns = G^T rows
// In the symmetric case rows and columns are one, each pair is visited once, and a = b.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/exp.h"
#include "base/multiply.h"
#include "base/parallel.h"
#include "base/shares.h"
#include "similarity/softmax_logits.h"
#include "similarity/tile_gradient.h"
#include "similarity/tiles.h"

namespace ipse::IPSE_ISA {

// What turns a similarity into its derivative, for one direction.
template <class T>
struct LogitWeights {
    T* weight;    // a_i scale_i, times e^(shift - logsumexp_i) with a shared shift
    T* offset;    // logsumexp_i; unused with a shared shift
    T* scale;     // unused with a shared shift
    T* positive;  // p_i
};

template <class T>
class SoftmaxGradient {
    static constexpr int lanes = Simd<T>::lanes;

public:
    explicit SoftmaxGradient(const SoftmaxGradientRequest& request)
        : request_(request),
          forward_(request.forward),
          threads_(useful_threads(
              forward_.rows.rows(),
              forward_.columns.parts == 0 ? forward_.rows.rows() : forward_.columns.rows(),
              forward_.rows.cols(), forward_.threads)),
          sides_(forward_, threads_),
          pattern_(forward_),
          shift_(forward_, sides_),
          plan_(sides_.left().rows(), sides_.right().rows(), pattern_.symmetric(), threads_),
          both_ways_(pattern_.symmetric() || request.column_weights != nullptr),
          row_room_(room(sides_.left().rows())),
          column_room_(pattern_.symmetric() ? 0 : room(sides_.right().rows())),
          weights_(1, 4 * (row_room_ + column_room_)),
          tiles_(plan_.slots(), TilePlan<T>::scratch_elements()),
          gradient_(sides_.left(), sides_.right(), plan_, wanted(request.grad_rows),
                    wanted(request.grad_columns)) {
        prepare(side(false), sides_.left().rows(), forward_.row_sums, request.row_weights);
        const LogitWeights<T> rows = side(false);
        for (std::int64_t i = 0; i < sides_.left().rows(); ++i) {
            rows.positive[i] = static_cast<T>(request.positive_weights[i]);
        }
        if (column_room_ > 0 && both_ways_) {
            prepare(side(true), sides_.right().rows(), forward_.column_sums,
                    request.column_weights);
        }
    }

    void run() noexcept {
        parallel_for(plan_.slots(), threads_, [&](std::int64_t item, int) {
            const int slot = static_cast<int>(item);
            gradient_.clear(slot);
            plan_.run_slot(slot, sides_.left(), sides_.right(), tiles_[slot],
                           [&](const SimilarityTile<T>& tile) {
                               differentiate(tile);
                               gradient_.add(tile, slot);
                           });
        });
        gradient_.write(request_.grad_rows, request_.grad_columns, threads_);
    }

private:
    static std::int64_t room(std::int64_t rows) noexcept {
        return padded_rows<T>(rows) + Panel<T>::rows;
    }

    static bool wanted(const Stack& grads) noexcept {
        return (grads.parts > 0 && grads.part[0].data != nullptr) ||
               (grads.parts > 1 && grads.part[1].data != nullptr);
    }

    LogitWeights<T> side(bool column) const noexcept {
        const bool second = column && column_room_ > 0;
        T* base = weights_[0] + (second ? 4 * row_room_ : 0);
        const std::int64_t each = second ? column_room_ : row_room_;
        return {base, base + each, base + 2 * each, base + 3 * each};
    }

    void prepare(const LogitWeights<T>& to, std::int64_t count, const double* sums,
                 const double* weights) const noexcept {
        const double shift =
            static_cast<double>(shift_.reference) * static_cast<double>(shift_.scale);
        for (std::int64_t i = 0; i < (to.offset - to.weight); ++i) {
            to.weight[i] = to.offset[i] = to.scale[i] = to.positive[i] = T{0};
        }
        for (std::int64_t i = 0; i < count; ++i) {
            const double scale = forward_.scale[forward_.scale_per_row ? i : 0];
            const double offset = sums[i * sum_columns + logsumexp_column];
            // Nothing visible: no derivative, and no NaN from e^(x + infinity).
            const bool empty = offset == -std::numeric_limits<double>::infinity();
            const double weight = empty ? 0.0 : weights[i] * scale;
            to.scale[i] = static_cast<T>(scale);
            to.offset[i] = empty ? T{0} : static_cast<T>(offset);
            to.weight[i] = static_cast<T>(
                shift_.shared && !empty ? weight * std::exp(shift - offset) : weight);
        }
    }

    void differentiate(const SimilarityTile<T>& tile) const noexcept {
        const LogitWeights<T> rows = side(false);
        const LogitWeights<T> columns = side(true);
        if (pattern_.hide(tile)) {
            both_ways_ ? weigh<true, true>(tile, rows, columns)
                       : weigh<true, false>(tile, rows, columns);
        } else {
            both_ways_ ? weigh<false, true>(tile, rows, columns)
                       : weigh<false, false>(tile, rows, columns);
        }
        pattern_.for_positives(tile, [&](std::int64_t i, std::int64_t j) {
            T& entry = tile.line(i)[j];
            entry += rows.positive[tile.row + i];
            if (pattern_.symmetric()) {
                entry += rows.positive[tile.col + j];
            }
        });
    }

    template <bool hidden, bool both>
    void weigh(const SimilarityTile<T>& tile, const LogitWeights<T>& rows,
               const LogitWeights<T>& columns) const noexcept {
        if (shift_.shared) {
            weigh_shared<hidden, both>(tile, rows, columns);
        } else {
            weigh_own<hidden, both>(tile, rows, columns);
        }
    }

    template <bool hidden, bool both>
    void weigh_shared(const SimilarityTile<T>& tile, const LogitWeights<T>& rows,
                      const LogitWeights<T>& columns) const noexcept {
        const Vector<T> scale = broadcast(shift_.scale);
        const Vector<T> reference = broadcast(shift_.reference);
        for (std::int64_t i = 0; i < tile.rows; ++i) {
            const Vector<T> row_weight = broadcast(rows.weight[tile.row + i]);
            for (std::int64_t j = 0; j < tile.cols; j += lanes) {
                const Vector<T> similarity = load(tile.line(i) + j);
                const Vector<T> term = exponential<T>((similarity - reference) * scale);
                Vector<T> weight = row_weight;
                if constexpr (both) {
                    weight += load(columns.weight + tile.col + j);
                }
                Vector<T> derivative = term * weight;
                if constexpr (hidden) {
                    const auto out = similarity == broadcast(hidden_entry<T>);
                    derivative = out ? Vector<T>{} : derivative;
                }
                store(tile.line(i) + j, derivative);
            }
        }
    }

    template <bool hidden, bool both>
    void weigh_own(const SimilarityTile<T>& tile, const LogitWeights<T>& rows,
                   const LogitWeights<T>& columns) const noexcept {
        for (std::int64_t i = 0; i < tile.rows; ++i) {
            const Vector<T> weight = broadcast(rows.weight[tile.row + i]);
            const Vector<T> scale = broadcast(rows.scale[tile.row + i]);
            const Vector<T> offset = broadcast(rows.offset[tile.row + i]);
            for (std::int64_t j = 0; j < tile.cols; j += lanes) {
                const std::int64_t col = tile.col + j;
                const Vector<T> similarity = load(tile.line(i) + j);
                Vector<T> derivative = weight * exponential<T>(similarity * scale - offset);
                if constexpr (both) {
                    derivative += load(columns.weight + col) *
                                  exponential<T>(similarity * load(columns.scale + col) -
                                                 load(columns.offset + col));
                }
                if constexpr (hidden) {
                    const auto out = similarity == broadcast(hidden_entry<T>);
                    derivative = out ? Vector<T>{} : derivative;
                }
                store(tile.line(i) + j, derivative);
            }
        }
    }

    const SoftmaxGradientRequest& request_;
    const SoftmaxRequest& forward_;
    int threads_;
    Sides<T> sides_;
    Pattern pattern_;
    Shift<T> shift_;
    TilePlan<T> plan_;
    bool both_ways_;
    std::int64_t row_room_;
    std::int64_t column_room_;
    Shares<T> weights_;
    Shares<T> tiles_;
    TileGradient<T> gradient_;
};

}  // namespace ipse::IPSE_ISA
