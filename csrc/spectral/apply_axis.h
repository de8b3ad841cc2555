// One axis of a crop on one panel of columns: split, some small products, join.
#pragma once

#include "base/multiply.h"
#include "spectral/fold.h"
#include "spectral/shift_axis.h"

namespace ipse::IPSE_ISA {

// A strip of weights: `strip` values for each step of the depth.
template <class T>
struct StripLeft {
    static constexpr std::int64_t row = 1;
    static constexpr std::int64_t depth = Panel<T>::strip;
};

// One piece of memory, in cache lines.
struct Lines {
    const char* data = nullptr;
    std::int64_t count = 0;

    static Lines of(const void* data, std::int64_t bytes) noexcept {
        return {static_cast<const char*>(data), (bytes + 63) / 64};
    }
    // Share i of `shares`.
    Lines share(std::int64_t i, std::int64_t shares) const noexcept {
        const std::int64_t first = count * i / shares;
        return {data + 64 * first, count * (i + 1) / shares - first};
    }
    // On its way into L2 while something else is computed.
    void fetch() const noexcept {
        for (std::int64_t line = 0; line < count; ++line) {
            __builtin_prefetch(data + 64 * line, 0, 2);
        }
    }
};

// Calls visit(std::integral_constant<int, rows>{}) for rows from 1 to `most`.
template <int most, class Visit>
inline void visit_height(int rows, const Visit& visit) noexcept {
    if constexpr (most > 1) {
        if (rows < most) {
            return visit_height<most - 1>(rows, visit);
        }
    }
    visit(std::integral_constant<int, most>{});
}

template <class T>
inline void multiply_strips(const AxisOperator& axis, PanelRows<const T> folded,
                            PanelRows<T> results, const Lines& next) noexcept {
    const T* weights = static_cast<const T*>(axis.weights);
    for (std::int64_t i = 0; i < axis.strip_count; ++i) {
        const AxisStrip& strip = axis.strips[i];
        visit_height<Panel<T>::strip>(strip.rows, [&](auto height) {
            multiply_strip<T, false, StripLeft<T>, height.value>(
                strip.depth, weights + strip.weights, StripLeft<T>{}, folded[strip.folded_row],
                folded.stride, results[strip.result_row], results.stride);
        });
        next.share(i, axis.strip_count).fetch();
    }
    for (std::int64_t i = 0; i < axis.zero_count; ++i) {
        T* row = results[axis.zero_rows[i]];
        for (int c = 0; c < Panel<T>::rows; ++c) {
            row[c] = T{0};
        }
    }
}

// Where apply_axis works, in rows of a panel; a strided x is only read.
template <class T>
struct AxisScratch {
    T* folded;
    T* results;
};

// The measure of each column: the sum of `depth` folded rows with weights.
template <class T>
inline void measure_columns(const AxisOperator& axis, PanelRows<const T> folded, T* line) noexcept {
    Vector<T> sum[Panel<T>::vectors] = {};
    for (std::int64_t k = 0; k < axis.measured_depth; ++k) {
        const Vector<T> weight = broadcast(static_cast<T>(axis.folded_measure[k]));
        const T* row = folded[axis.measured_row + k];
#pragma GCC unroll 4
        for (int v = 0; v < Panel<T>::vectors; ++v) {
            sum[v] += weight * load(row + v * Simd<T>::lanes);
        }
    }
#pragma GCC unroll 4
    for (int v = 0; v < Panel<T>::vectors; ++v) {
        store(line + v * Simd<T>::lanes, sum[v]);
    }
}

template <class T>
class AxisPanel {
public:
    AxisPanel(const AxisOperator& axis, const AxisScratch<T>& scratch) noexcept
        : axis_(axis), scratch_(scratch) {}

    // y = axis x, not for the identity. `line` takes the measure of the columns
    // (Panel<T>::rows values) where the axis has one; null: not wanted.
    void apply(PanelRows<const T> x, PanelRows<T> y, T* line, const Lines& next) const noexcept {
        if (axis_.shifts > 0) {
            visit_shifts(axis_.shifts,
                         [&](auto shifts) { apply_shifts<shifts.value>(x, y, line, next); });
            return;
        }
        if (!axis_.mirror) {
            multiply_strips(axis_, x, y, next);
            if (line != nullptr) {
                measure_columns(axis_, x, line);
            }
            return;
        }
        split(x);
        multiply_strips(axis_, constant(rows(scratch_.folded, 0)), rows(scratch_.results, 0), next);
        if (line != nullptr) {
            measure_columns(axis_, constant(rows(scratch_.folded, 0)), line);
        }
        join(y);
    }

private:
    static PanelRows<T> rows(T* base, std::int64_t first) noexcept {
        return {base + first * Panel<T>::rows, Panel<T>::rows};
    }
    static PanelRows<const T> constant(PanelRows<T> of) noexcept { return {of.data, of.stride}; }

    template <int shifts>
    void apply_shifts(PanelRows<const T> x, PanelRows<T> y, T* line,
                      const Lines& next) const noexcept {
        const PanelRows<T> folded = rows(scratch_.folded, 0);
        const PanelRows<T> results = rows(scratch_.results, 0);
        ShiftSplit<T, shifts>(axis_.n_in, x, folded).run();
        multiply_strips(axis_, constant(folded), results, next);
        if (line != nullptr) {
            measure_columns(axis_, constant(folded), line);
        }
        ShiftJoin<T, shifts>(axis_.n_out, constant(results), y).run();
    }

    PanelRows<T> folded(int block) const noexcept {
        return rows(scratch_.folded, axis_.blocks[block].folded_row);
    }
    PanelRows<T> results(int block) const noexcept {
        return rows(scratch_.results, axis_.blocks[block].result_row);
    }

    void split(PanelRows<const T> x) const noexcept {
        split_mirror<T>(axis_.n_in, x, folded(0), folded(1));
    }

    void join(PanelRows<T> y) const noexcept {
        join_mirror<T>(axis_.n_out, constant(results(0)), constant(results(1)), y);
    }

    const AxisOperator& axis_;
    const AxisScratch<T>& scratch_;
};

}  // namespace ipse::IPSE_ISA
