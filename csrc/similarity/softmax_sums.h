// The forward pass: logsumexp, positives and mean of every row (and column), tile by tile.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "base/exp.h"
#include "base/parallel.h"
#include "base/shares.h"
#include "similarity/expected_columns.h"
#include "similarity/running_sums.h"
#include "similarity/softmax_logits.h"
#include "similarity/tiles.h"

namespace ipse::IPSE_ISA {

template <class T>
class SoftmaxSums {
    static constexpr int lanes = Simd<T>::lanes;

public:
    explicit SoftmaxSums(const SoftmaxRequest& request)
        : request_(request),
          threads_(useful_threads(
              request.rows.rows(),
              request.columns.parts == 0 ? request.rows.rows() : request.columns.rows(),
              request.rows.cols(), request.threads)),
          sides_(request, threads_),
          pattern_(request),
          shift_(request, sides_),
          plan_(sides_.left().rows(), sides_.right().rows(), pattern_.symmetric(), threads_),
          both_ways_(pattern_.symmetric() || request.column_sums != nullptr),
          row_room_(room(sides_.left().rows())),
          column_room_(pattern_.symmetric() || !both_ways_ ? 0 : room(sides_.right().rows())),
          sums_(plan_.slots(), 4 * (row_room_ + column_room_)),
          scales_(1, row_room_ + column_room_),
          tops_(plan_.slots(), 2 * tile_columns + 2 * 128),
          expected_(sides_.left(), sides_.right(), request.expected, plan_.slots()),
          tiles_(plan_.slots(), TilePlan<T>::scratch_elements()) {
        const std::int64_t count = row_room_ + column_room_;
        for (std::int64_t i = 0; i < count; ++i) {
            const bool present = request.scale_per_row && i < sides_.left().rows();
            scales_[0][i] = static_cast<T>(request.scale[present ? i : 0]);
        }
    }

    void run() noexcept {
        parallel_for(plan_.slots(), threads_, [&](std::int64_t item, int) {
            const int slot = static_cast<int>(item);
            clear(slot);
            expected_.clear(slot);
            plan_.run_slot(slot, sides_.left(), sides_.right(), tiles_[slot],
                           [&](const SimilarityTile<T>& tile) { add(tile, slot); });
        });
        finish(false, sides_.left().rows(), request_.row_sums);
        if (request_.column_sums != nullptr) {
            finish(true, sides_.right().rows(), request_.column_sums);
        }
    }

private:
    // Tiles overhang: whole panels, and one more.
    static std::int64_t room(std::int64_t rows) noexcept {
        return padded_rows<T>(rows) + Panel<T>::rows;
    }

    RunningSums<T> running(int slot, bool column) const noexcept {
        const bool second = column && column_room_ > 0;
        T* base = sums_[slot] + (second ? 4 * row_room_ : 0);
        const std::int64_t each = second ? column_room_ : row_room_;
        return {base, base + each, base + 2 * each, base + 3 * each,
                scales_[0] + (second ? row_room_ : 0)};
    }

    void clear(int slot) const noexcept {
        const RunningSums<T> rows = running(slot, false);
        const RunningSums<T> columns = running(slot, true);
        for (std::int64_t i = 0; i < 4 * (row_room_ + column_room_); ++i) {
            sums_[slot][i] = T{0};
        }
        for (std::int64_t i = 0; i < row_room_; ++i) {
            rows.top[i] = first_top(rows.scale[i]);
        }
        for (std::int64_t i = 0; i < column_room_; ++i) {
            columns.top[i] = first_top(columns.scale[i]);
        }
    }

    T first_top(T scale) const noexcept {
        return shift_.bounded ? shift_.reference * scale : -std::numeric_limits<T>::infinity();
    }

    void add(const SimilarityTile<T>& tile, int slot) const noexcept {
        const RunningSums<T> rows = running(slot, false);
        const RunningSums<T> columns = running(slot, true);
        pattern_.for_positives(tile, [&](std::int64_t i, std::int64_t j) {
            const T similarity = tile.line(i)[j];
            rows.positive[tile.row + i] += similarity;
            if (both_ways_) {
                columns.positive[tile.col + j] += similarity;
            }
        });
        T* tops = tops_[slot];
        if (pattern_.hide(tile)) {
            add_as<true>(tile, rows, columns, tops);
        } else {
            add_as<false>(tile, rows, columns, tops);
        }
        if (!expected_.wanted()) {
            return;
        }
        for (std::int64_t i = 0; i < tile.rows && !shift_.bounded; ++i) {
            expected_.rescale(slot, tile.row + i, tops[tile_columns + i]);
        }
        expected_.add(tile, slot);
    }

    template <bool hidden>
    void add_as(const SimilarityTile<T>& tile, const RunningSums<T>& rows,
                const RunningSums<T>& columns, T* tops) const noexcept {
        if (both_ways_) {
            request_.mean ? add_with<hidden, true, true>(tile, rows, columns, tops)
                          : add_with<hidden, true, false>(tile, rows, columns, tops);
        } else {
            request_.mean ? add_with<hidden, false, true>(tile, rows, columns, tops)
                          : add_with<hidden, false, false>(tile, rows, columns, tops);
        }
    }

    template <bool hidden, bool both, bool mean>
    void add_with(const SimilarityTile<T>& tile, const RunningSums<T>& rows,
                  const RunningSums<T>& columns, T* tops) const noexcept {
        if (shift_.shared) {
            add_shared<hidden, both, mean>(tile, rows, columns);
            return;
        }
        if (!shift_.bounded) {
            raise_tops<hidden, both>(tile, rows, columns, tops);
        }
        add_own<hidden, both, mean>(tile, rows, columns);
    }

    // One exponential for the row and the column.
    template <bool hidden, bool both, bool mean>
    void add_shared(const SimilarityTile<T>& tile, const RunningSums<T>& rows,
                    const RunningSums<T>& columns) const noexcept {
        const Vector<T> scale = broadcast(shift_.scale);
        const Vector<T> reference = broadcast(shift_.reference);
        for (std::int64_t i = 0; i < tile.rows; ++i) {
            Vector<T> row_sum{};
            Vector<T> row_mean{};
            for (std::int64_t j = 0; j < tile.cols; j += lanes) {
                Vector<T> similarity = load(tile.line(i) + j);
                Vector<T> term = exponential<T>((similarity - reference) * scale);
                if constexpr (hidden) {
                    const auto out = similarity == broadcast(hidden_entry<T>);
                    term = out ? Vector<T>{} : term;
                    similarity = out ? Vector<T>{} : similarity;
                }
                row_sum += term;
                accumulate<both>(columns.sum + tile.col + j, term);
                keep<both>(tile.line(i) + j, term);
                if constexpr (mean) {
                    row_mean += term * similarity;
                    accumulate<both>(columns.mean + tile.col + j, term * similarity);
                }
            }
            rows.sum[tile.row + i] += sum_lanes<T>(row_sum);
            if constexpr (mean) {
                rows.mean[tile.row + i] += sum_lanes<T>(row_mean);
            }
        }
    }

    // One way only: the tile becomes its row's terms, for the expected columns.
    template <bool both>
    static void keep(T* to, Vector<T> term) noexcept {
        if constexpr (!both) {
            store(to, term);
        }
    }

    template <bool wanted>
    static void accumulate(T* to, Vector<T> value) noexcept {
        if constexpr (wanted) {
            store(to, load(to) + value);
        }
    }

    // The tile's largest logits by row and column join the running ones; what has been summed
    // so far is brought to the new scale.
    template <bool hidden, bool both>
    void raise_tops(const SimilarityTile<T>& tile, const RunningSums<T>& rows,
                    const RunningSums<T>& columns, T* tops) const noexcept {
        const Vector<T> lowest = broadcast(-std::numeric_limits<T>::infinity());
        T* column_tops = tops;
        T* row_tops = tops + tile_columns;
        for (std::int64_t j = 0; j < tile.cols; j += lanes) {
            store(column_tops + j, lowest);
        }
        for (std::int64_t i = 0; i < tile.rows; ++i) {
            const Vector<T> scale = broadcast(rows.scale[tile.row + i]);
            Vector<T> row_top = lowest;
            for (std::int64_t j = 0; j < tile.cols; j += lanes) {
                const Vector<T> similarity = load(tile.line(i) + j);
                Vector<T> logit = similarity * scale;
                Vector<T> other = logit;
                if constexpr (both) {
                    other = similarity * load(columns.scale + tile.col + j);
                }
                if constexpr (hidden) {
                    const auto out = similarity == broadcast(hidden_entry<T>);
                    logit = out ? lowest : logit;
                    other = out ? lowest : other;
                }
                row_top = larger<T>(row_top, logit);
                if constexpr (both) {
                    store(column_tops + j, larger<T>(load(column_tops + j), other));
                }
            }
            row_tops[i] = largest_lane<T>(row_top);
        }
        raise_tops_of(rows, tile.row, tile.rows, row_tops);
        if constexpr (both) {
            raise_tops_of(columns, tile.col, tile.cols, column_tops);
        }
    }

    // Each direction with its own scale and its own largest logit.
    template <bool hidden, bool both, bool mean>
    void add_own(const SimilarityTile<T>& tile, const RunningSums<T>& rows,
                 const RunningSums<T>& columns) const noexcept {
        for (std::int64_t i = 0; i < tile.rows; ++i) {
            const Vector<T> scale = broadcast(rows.scale[tile.row + i]);
            const Vector<T> top = broadcast(rows.top[tile.row + i]);
            Vector<T> row_sum{};
            Vector<T> row_mean{};
            for (std::int64_t j = 0; j < tile.cols; j += lanes) {
                const std::int64_t col = tile.col + j;
                Vector<T> similarity = load(tile.line(i) + j);
                Vector<T> term = exponential<T>(similarity * scale - top);
                Vector<T> other{};
                if constexpr (both) {
                    other = exponential<T>(similarity * load(columns.scale + col) -
                                           load(columns.top + col));
                }
                if constexpr (hidden) {
                    const auto out = similarity == broadcast(hidden_entry<T>);
                    term = out ? Vector<T>{} : term;
                    other = out ? Vector<T>{} : other;
                    similarity = out ? Vector<T>{} : similarity;
                }
                row_sum += term;
                accumulate<both>(columns.sum + col, other);
                keep<both>(tile.line(i) + j, term);
                if constexpr (mean) {
                    row_mean += term * similarity;
                    accumulate<both>(columns.mean + col, other * similarity);
                }
            }
            rows.sum[tile.row + i] += sum_lanes<T>(row_sum);
            if constexpr (mean) {
                rows.mean[tile.row + i] += sum_lanes<T>(row_mean);
            }
        }
    }

    // The slots' sums of one direction become its results, in double.
    void finish(bool column, std::int64_t count, double* to) const noexcept {
        parallel_for((count + 1023) / 1024, threads_, [&](std::int64_t item, int) {
            const std::int64_t last = count < (item + 1) * 1024 ? count : (item + 1) * 1024;
            for (std::int64_t i = item * 1024; i < last; ++i) {
                finish_one(column, i, to + i * sum_columns);
            }
        });
    }

    void finish_one(bool column, std::int64_t i, double* to) const noexcept {
        double top = -std::numeric_limits<double>::infinity();
        for (int slot = 0; slot < plan_.slots(); ++slot) {
            const double other = static_cast<double>(running(slot, column).top[i]);
            top = other > top ? other : top;
        }
        double sum = 0.0;
        double mean = 0.0;
        double positive = 0.0;
        for (int slot = 0; slot < plan_.slots(); ++slot) {
            const RunningSums<T> sums = running(slot, column);
            const double factor = share(sums, i, top);
            sum += static_cast<double>(sums.sum[i]) * factor;
            mean += static_cast<double>(sums.mean[i]) * factor;
            positive += static_cast<double>(sums.positive[i]);
        }
        if (expected_.wanted()) {
            expected_.start(i);
            for (int slot = 0; slot < plan_.slots() && sum != 0.0; ++slot) {
                const double factor = share(running(slot, column), i, top);
                expected_.finish(slot, i, static_cast<T>(factor / sum));
            }
        }
        if (shift_.shared) {  // the shift itself, not rounded to T
            top = static_cast<double>(shift_.reference) * static_cast<double>(shift_.scale);
        }
        to[logsumexp_column] =
            sum == 0.0 ? -std::numeric_limits<double>::infinity() : top + std::log(sum);
        to[positives_column] = positive;
        to[mean_column] = sum == 0.0 ? 0.0 : mean / sum;
    }

    // What a slot's sums count at the overall shift; nothing where it has seen nothing.
    double share(const RunningSums<T>& sums, std::int64_t i, double top) const noexcept {
        if (sums.sum[i] == T{0}) {
            return 0.0;
        }
        return shift_.bounded ? 1.0 : std::exp(static_cast<double>(sums.top[i]) - top);
    }

    const SoftmaxRequest& request_;
    int threads_;
    Sides<T> sides_;
    Pattern pattern_;
    Shift<T> shift_;
    TilePlan<T> plan_;
    bool both_ways_;
    std::int64_t row_room_;
    std::int64_t column_room_;
    Shares<T> sums_;
    Shares<T> scales_;
    Shares<T> tops_;
    ExpectedColumns<T> expected_;
    Shares<T> tiles_;
};

}  // namespace ipse::IPSE_ISA
