// From two strided views to strips of normalised columns.
//
// A strip is a run of feature columns of both views, stored as the panels of
// base/panels.h with the samples as depth: column c, sample n at
// [c / R][n][c % R]. That is at once the right operand of K Z, the operands of
// Z_1^T Z_2, and a layout in which every pass runs along full registers.
#pragma once

#include <cstdint>
#include <type_traits>

#include "base/half.h"
#include "base/panels.h"
#include "base/simd.h"
#include "cross_correlation/loss_terms.h"

namespace ipse::IPSE_ISA {

// Sums run in the compute type over this many samples and in double beyond: the error of
// a float sum then grows with sqrt(64), not with the batch.
constexpr std::int64_t sum_block = 64;

template <class T>
struct Strip {
    std::int64_t first = 0;    // first column
    std::int64_t columns = 0;  // columns present; the rest of the last panel is zero
    std::int64_t samples = 0;
    T* view[2] = {nullptr, nullptr};
    ColumnStatistics* statistics = nullptr;  // one for each column, padding included

    std::int64_t panels() const noexcept { return panel_count<T>(columns); }
    T* panel(int which, std::int64_t index) const noexcept {
        return view[which] + index * samples * Panel<T>::rows;
    }
};

namespace detail {

template <class T, class S>
void load_panel(const StridedMatrix& from, std::int64_t first, std::int64_t present, std::int64_t n,
                T* line) noexcept {
    const S* row = static_cast<const S*>(from.data) + n * from.row_stride + first * from.col_stride;
    if (present >= Panel<T>::rows && from.col_stride == 1) {
        for (int c = 0; c < Panel<T>::rows; ++c) {
            line[c] = read<T>(row[c]);
        }
        return;
    }
    for (int c = 0; c < Panel<T>::rows; ++c) {
        line[c] = c < present ? read<T>(row[c * from.col_stride]) : T{0};
    }
}

// Per-column sums over the samples of up to `count` terms: term(n, sums) adds to T sums[count][R].
template <class T, int count, class Term>
inline void sum_over_samples(std::int64_t samples, const Term& term,
                             double (&totals)[count][Panel<T>::rows]) noexcept {
    constexpr int rows = Panel<T>::rows;
    for (int s = 0; s < count; ++s) {
        for (int c = 0; c < rows; ++c) {
            totals[s][c] = 0.0;
        }
    }
    for (std::int64_t n = 0; n < samples;) {
        const std::int64_t end = samples - n < sum_block ? samples : n + sum_block;
        Vector<T> sums[count][Panel<T>::vectors] = {};
        for (; n < end; ++n) {
            term(n, sums);
        }
        for (int s = 0; s < count; ++s) {
            for (int c = 0; c < rows; ++c) {
                totals[s][c] +=
                    static_cast<double>(sums[s][c / Simd<T>::lanes][c % Simd<T>::lanes]);
            }
        }
    }
}

// Variance of one shifted column in double: where squares left the range of T, but also
// where the column holds NaN or infinity, which then stay in the result.
template <class T>
double column_variance(const T* column, std::int64_t samples, double mean) noexcept {
    double sum = 0.0;
    for (std::int64_t i = 0; i < samples; ++i) {
        const double x = static_cast<double>(column[i * Panel<T>::rows]) - mean;
        sum += x * x;
    }
    return sum / static_cast<double>(samples);
}

// Centres a loaded panel in two steps: a first mean as the shift, then the mean and
// variance of what is left, so a large common offset costs no accuracy.
template <class T>
void centre_panel(T* panel, std::int64_t samples, int view, ColumnStatistics* statistics,
                  T (&offset)[Panel<T>::rows]) noexcept {
    constexpr int rows = Panel<T>::rows;
    constexpr int vectors = Panel<T>::vectors;
    constexpr int lanes = Simd<T>::lanes;
    const double n = static_cast<double>(samples);
    double first[1][rows];
    sum_over_samples<T, 1>(
        samples,
        [&](std::int64_t i, Vector<T>(&sums)[1][vectors]) {
            for (int v = 0; v < vectors; ++v) {
                sums[0][v] += load(panel + i * rows + v * lanes);
            }
        },
        first);
    alignas(IPSE_VECTOR_BYTES) T shift[rows];
    for (int c = 0; c < rows; ++c) {
        shift[c] = static_cast<T>(first[0][c] / n);
    }
    double rest[2][rows];
    sum_over_samples<T, 2>(
        samples,
        [&](std::int64_t i, Vector<T>(&sums)[2][vectors]) {
            for (int v = 0; v < vectors; ++v) {
                T* at = panel + i * rows + v * lanes;
                const Vector<T> x = load(at) - load(shift + v * lanes);
                store(at, x);
                sums[0][v] += x;
                sums[1][v] += x * x;
            }
        },
        rest);
    for (int c = 0; c < rows; ++c) {
        const double left = rest[0][c] / n;
        double variance = rest[1][c] / n - left * left;
        if (!__builtin_isfinite(variance)) {
            variance = column_variance(panel + c, samples, left);
        }
        offset[c] = static_cast<T>(left);
        statistics[c].mean[view] = static_cast<double>(shift[c]) + left;
        statistics[c].variance[view] = variance < 0.0 ? 0.0 : variance;
    }
}

// z = (x - offset) * scale for both views, and the sum of their pair term.
template <class T, class Loss>
void normalise_panels(T* panel1, T* panel2, std::int64_t samples, const T* offset1,
                      const T* offset2, const T* scale1, const T* scale2,
                      ColumnStatistics* statistics) noexcept {
    constexpr int rows = Panel<T>::rows;
    constexpr int vectors = Panel<T>::vectors;
    constexpr int lanes = Simd<T>::lanes;
    double pair[1][rows];
    sum_over_samples<T, 1>(
        samples,
        [&](std::int64_t i, Vector<T>(&sums)[1][vectors]) {
            for (int v = 0; v < vectors; ++v) {
                const int at = v * lanes;
                T* to1 = panel1 + i * rows + at;
                T* to2 = panel2 + i * rows + at;
                const Vector<T> z1 = (load(to1) - load(offset1 + at)) * load(scale1 + at);
                const Vector<T> z2 = (load(to2) - load(offset2 + at)) * load(scale2 + at);
                store(to1, z1);
                store(to2, z2);
                sums[0][v] += Loss::pair_term(z1, z2);
            }
        },
        pair);
    for (int c = 0; c < rows; ++c) {
        statistics[c].pair = pair[0][c];
    }
}

}  // namespace detail

// Reads columns [strip.first, strip.first + strip.columns) of both views, normalises
// them and fills in their statistics.
template <class T, class Loss>
void fill_strip(const StridedMatrix (&views)[2], const Loss& loss, const Strip<T>& strip) noexcept {
    constexpr int rows = Panel<T>::rows;
    for (int view = 0; view < 2; ++view) {
        visit_dtype(views[view].dtype, [&](auto storage) {
            using S = decltype(storage);
            if constexpr (std::is_same_v<T, typename Storage<S>::Compute>) {
                // Sample by sample across the strip: rows of the input are read in long runs.
                for (std::int64_t n = 0; n < strip.samples; ++n) {
                    for (std::int64_t p = 0; p < strip.panels(); ++p) {
                        detail::load_panel<T, S>(views[view], strip.first + p * rows,
                                                 strip.columns - p * rows, n,
                                                 strip.panel(view, p) + n * rows);
                    }
                }
            }
        });
    }
    for (std::int64_t p = 0; p < strip.panels(); ++p) {
        ColumnStatistics* statistics = strip.statistics + p * rows;
        alignas(IPSE_VECTOR_BYTES) T offset[2][rows];
        alignas(IPSE_VECTOR_BYTES) T scale[2][rows];
        for (int view = 0; view < 2; ++view) {
            detail::centre_panel(strip.panel(view, p), strip.samples, view, statistics,
                                 offset[view]);
            for (int c = 0; c < rows; ++c) {
                // Padding stays zero whatever eps is: 0 * (1 / sqrt(0 + 0)) would be NaN.
                const bool present = p * rows + c < strip.columns;
                scale[view][c] =
                    present ? static_cast<T>(loss.column_scale(statistics[c].variance[view]))
                            : T{0};
            }
        }
        detail::normalise_panels<T, Loss>(strip.panel(0, p), strip.panel(1, p), strip.samples,
                                          offset[0], offset[1], scale[0], scale[1], statistics);
    }
}

// The strip as a left operand: samples as rows, its columns as depth [k_begin, k_begin + columns)
// of `to`.
template <class T>
void pack_samples(const Strip<T>& strip, int view, const PackedMatrix<T>& to, std::int64_t k_begin,
                  std::int64_t first_panel = 0) noexcept {
    constexpr int rows = Panel<T>::rows;
    for (std::int64_t p = 0; p < strip.panels(); ++p) {
        const std::int64_t left = strip.columns - p * rows;
        const std::int64_t depth = left < rows ? left : rows;
        const Source<T> source{strip.panel(view, p), rows, 1};
        for (std::int64_t index = first_panel; index < panel_count<T>(to.rows); ++index) {
            pack_panel(source, to.rows, index, 0, depth,
                       to.panel(index) + (k_begin + p * rows) * rows);
        }
    }
}

}  // namespace ipse::IPSE_ISA
