// SigLIP's loss: the sum over all pairs of softplus(-z logit), z = 1 for positives and -1 for
// others, and its gradient. softplus(-x) = softplus(x) - x, so the forward pass adds
// softplus(logit) for every pair and takes the positives' logits off again.
#pragma once

#include <cstdint>

#include "base/exp.h"
#include "base/log1p.h"
#include "base/parallel.h"
#include "base/shares.h"
#include "similarity/tile_gradient.h"
#include "similarity/tiles.h"
#include "similarity/unit_rows.h"

namespace ipse::IPSE_ISA {

template <class T>
class SigmoidPairs {
    static constexpr int lanes = Simd<T>::lanes;

public:
    SigmoidPairs(const SigmoidRequest& request)
        : scale_(request.scale),
          bias_(request.bias),
          threads_(useful_threads(request.rows.rows(), request.columns.rows(), request.rows.cols(),
                                  request.threads)),
          left_(request.rows, false, threads_),
          right_(request.columns, false, threads_),
          pattern_(pairs(request)),
          plan_(left_.rows(), right_.rows(), false, threads_),
          tiles_(plan_.slots(), TilePlan<T>::scratch_elements()),
          totals_(plan_.slots(), 2) {}

    double sum() noexcept {
        parallel_for(plan_.slots(), threads_, [&](std::int64_t item, int) {
            const int slot = static_cast<int>(item);
            double total = 0.0;
            plan_.run_slot(slot, left_, right_, tiles_[slot],
                           [&](const SimilarityTile<T>& tile) { total += tile_sum(tile); });
            totals_[slot][0] = total;
        });
        return total(0);
    }

    void gradient(const SigmoidGradientRequest& request) {
        const TileGradient<T> products(left_, right_, plan_,
                                       request.grad_rows.part[0].data != nullptr,
                                       request.grad_columns.part[0].data != nullptr);
        parallel_for(plan_.slots(), threads_, [&](std::int64_t item, int) {
            const int slot = static_cast<int>(item);
            totals_[slot][0] = 0.0;
            totals_[slot][1] = 0.0;
            products.clear(slot);
            plan_.run_slot(slot, left_, right_, tiles_[slot], [&](const SimilarityTile<T>& tile) {
                differentiate(tile, static_cast<T>(request.grad), totals_[slot]);
                products.add(tile, slot);
            });
        });
        products.write(request.grad_rows, request.grad_columns, threads_);
        request.grad_scale_bias[0] = total(0);
        request.grad_scale_bias[1] = total(1);
    }

private:
    static SoftmaxRequest pairs(const SigmoidRequest& request) noexcept {
        SoftmaxRequest result;
        result.rows = request.rows;
        result.columns = request.columns;
        result.samples = request.samples;
        return result;
    }

    double total(int which) const noexcept {
        double sum = 0.0;
        for (int slot = 0; slot < plan_.slots(); ++slot) {
            sum += totals_[slot][which];
        }
        return sum;
    }

    Vector<T> logits(Vector<T> similarity) const noexcept {
        return similarity * broadcast(static_cast<T>(scale_)) + broadcast(static_cast<T>(bias_));
    }

    // e^-|x|: never large.
    static Vector<T> decay(Vector<T> x) noexcept {
        const Vector<T> negative = -x;
        return exponential<T>(x > Vector<T>{} ? negative : x);
    }

    double tile_sum(const SimilarityTile<T>& tile) const noexcept {
        double sum = 0.0;
        pattern_.for_positives(tile, [&](std::int64_t i, std::int64_t j) {
            sum -= static_cast<double>(tile.line(i)[j]) * scale_ + bias_;
        });
        pattern_.hide(tile);  // the padding
        for (std::int64_t i = 0; i < tile.rows; ++i) {
            Vector<T> row{};
            for (std::int64_t j = 0; j < tile.cols; j += lanes) {
                const Vector<T> similarity = load(tile.line(i) + j);
                const Vector<T> logit = logits(similarity);
                const Vector<T> positive = logit < Vector<T>{} ? Vector<T>{} : logit;
                const Vector<T> value = positive + log1p_unit<T>(decay(logit));
                row += similarity == broadcast(hidden_entry<T>) ? Vector<T>{} : value;
            }
            sum += static_cast<double>(sum_lanes<T>(row));
        }
        return sum;
    }

    void differentiate(const SimilarityTile<T>& tile, T grad, double* totals) const noexcept {
        // Kept before they are overwritten: a positive's derivative is one less.
        pattern_.for_positives(tile, [&](std::int64_t i, std::int64_t j) {
            totals[0] -= static_cast<double>(grad) * static_cast<double>(tile.line(i)[j]);
            totals[1] -= static_cast<double>(grad);
        });
        pattern_.hide(tile);
        const Vector<T> one = broadcast(T{1});
        for (std::int64_t i = 0; i < tile.rows; ++i) {
            Vector<T> by_scale{};
            Vector<T> by_bias{};
            for (std::int64_t j = 0; j < tile.cols; j += lanes) {
                const Vector<T> similarity = load(tile.line(i) + j);
                const Vector<T> logit = logits(similarity);
                const Vector<T> small = decay(logit);
                const Vector<T> share = logit < Vector<T>{} ? small : one;
                const Vector<T> sigmoid = broadcast(grad) * share / (one + small);
                const auto out = similarity == broadcast(hidden_entry<T>);
                const Vector<T> derivative = out ? Vector<T>{} : sigmoid;
                by_bias += derivative;
                by_scale += derivative * (out ? Vector<T>{} : similarity);
                store(tile.line(i) + j, derivative * broadcast(static_cast<T>(scale_)));
            }
            totals[0] += static_cast<double>(sum_lanes<T>(by_scale));
            totals[1] += static_cast<double>(sum_lanes<T>(by_bias));
        }
        pattern_.for_positives(tile, [&](std::int64_t i, std::int64_t j) {
            tile.line(i)[j] -= grad * static_cast<T>(scale_);
        });
    }

    double scale_;
    double bias_;
    int threads_;
    UnitRows<T> left_;
    UnitRows<T> right_;
    Pattern pattern_;
    TilePlan<T> plan_;
    Shares<T> tiles_;
    Shares<double> totals_;
};

}  // namespace ipse::IPSE_ISA
