// One axis of a crop on one panel of columns: fold, a few small products, unfold.
//
// axis_operator.cpp has the algebra. A panel is Panel<T>::rows columns; its rows (one for each
// input, folded or output index) lie `stride` values apart.
#pragma once

#include "base/multiply.h"
#include "spectral/crop_requests.h"

namespace ipse::IPSE_ISA {

template <class T>
struct PanelRows {
    T* data = nullptr;
    std::int64_t stride = 0;

    T* operator[](std::int64_t row) const noexcept { return data + row * stride; }
};

// A strip of weights: `strip` values for each k.
template <class T>
struct StripLeft {
    static constexpr std::int64_t row = 1;
    static constexpr std::int64_t depth = Panel<T>::strip;
};

// x and its sums and differences with its mirror image, into the blocks of `folded`.
template <class T>
inline void fold_in_two(const AxisOperator& axis, PanelRows<const T> x,
                        PanelRows<T> folded) noexcept {
    for (std::int64_t k = 0; k < axis.depth; ++k) {
        const T* a = x[k];
        const T* b = x[k == 0 ? 0 : axis.n_in - k];
        T* even = folded[k];
        T* odd = folded[axis.depth + k];
#pragma GCC unroll 4
        for (int v = 0; v < Panel<T>::rows; v += Simd<T>::lanes) {
            const Vector<T> first = load(a + v);
            const Vector<T> second = load(b + v);
            store(even + v, first + second);
            store(odd + v, first - second);
        }
    }
}

template <class T>
inline void fold_in_four(const AxisOperator& axis, PanelRows<const T> x,
                         PanelRows<T> folded) noexcept {
    const std::int64_t half = axis.n_in / 2;
    for (std::int64_t k = 0; k < axis.depth; ++k) {
        const T* a = x[k];
        const T* b = x[k == 0 ? 0 : axis.n_in - k];
        const T* c = x[half - k];
        const T* d = x[k == half ? 0 : half + k];
        T* to[4];
#pragma GCC unroll 4
        for (int f = 0; f < 4; ++f) {
            to[f] = folded[f * axis.depth + k];
        }
#pragma GCC unroll 4
        for (int v = 0; v < Panel<T>::rows; v += Simd<T>::lanes) {
            const Vector<T> even = load(a + v) + load(b + v);
            const Vector<T> odd = load(a + v) - load(b + v);
            const Vector<T> even_shifted = load(d + v) + load(c + v);
            const Vector<T> odd_shifted = load(d + v) - load(c + v);
            store(to[0] + v, even + even_shifted);
            store(to[1] + v, odd + odd_shifted);
            store(to[2] + v, even - even_shifted);
            store(to[3] + v, odd - odd_shifted);
        }
    }
}

// Block f of the results from block f of the folded values.
template <class T>
inline void multiply_blocks(const AxisOperator& axis, PanelRows<const T> folded,
                            PanelRows<T> results) noexcept {
    const T* weights = static_cast<const T*>(axis.weights);
    for (std::int64_t i = 0; i < axis.folds * axis.strips; ++i) {
        const T* right = folded[i / axis.strips * axis.depth + axis.band_begin[i]];
        multiply_strip<T, false>(axis.band_count[i], weights + axis.offset[i], StripLeft<T>{},
                                 right, folded.stride, results[i * Panel<T>::strip],
                                 results.stride);
    }
}

template <class T>
inline void unfold_two(const AxisOperator& axis, PanelRows<const T> results,
                       PanelRows<T> y) noexcept {
    const std::int64_t block = axis.strips * Panel<T>::strip;
    for (std::int64_t p = 0; p < axis.rows; ++p) {
        const T* even = results[p];
        const T* odd = results[block + p];
        T* a = y[p];
        T* b = y[p == 0 ? 0 : axis.n_out - p];
#pragma GCC unroll 4
        for (int v = 0; v < Panel<T>::rows; v += Simd<T>::lanes) {
            store(b + v, load(even + v) - load(odd + v));
            store(a + v, load(even + v) + load(odd + v));
        }
    }
}

template <class T>
inline void unfold_four(const AxisOperator& axis, PanelRows<const T> results,
                        PanelRows<T> y) noexcept {
    const std::int64_t block = axis.strips * Panel<T>::strip;
    const std::int64_t half = axis.n_out / 2;
    for (std::int64_t p = 0; p < axis.rows; ++p) {
        T* a = y[p];
        T* b = y[p == 0 ? 0 : axis.n_out - p];
        T* c = y[half - p];
        T* d = y[p == half ? 0 : half + p];
        const T* from[4];
#pragma GCC unroll 4
        for (int f = 0; f < 4; ++f) {
            from[f] = results[f * block + p];
        }
#pragma GCC unroll 4
        for (int v = 0; v < Panel<T>::rows; v += Simd<T>::lanes) {
            const Vector<T> even = load(from[0] + v) + load(from[2] + v);
            const Vector<T> odd = load(from[1] + v) + load(from[3] + v);
            const Vector<T> even_shifted = load(from[0] + v) - load(from[2] + v);
            const Vector<T> odd_shifted = load(from[1] + v) - load(from[3] + v);
            // At p = 0 and p = n / 4 pairs of these are one place, and equal.
            store(d + v, even_shifted + odd_shifted);
            store(c + v, even_shifted - odd_shifted);
            store(b + v, even - odd);
            store(a + v, even + odd);
        }
    }
}

// Rows of scratch that apply_axis needs.
template <class T>
constexpr std::int64_t folded_rows(const AxisOperator& axis) noexcept {
    return axis.folds > 1 ? axis.folds * axis.depth : 0;
}

template <class T>
constexpr std::int64_t result_rows(const AxisOperator& axis) noexcept {
    return axis.folds > 1 ? axis.folds * axis.strips * Panel<T>::strip : 0;
}

// Rows of y that apply_axis may write: n_out, in whole strips.
template <class T>
constexpr std::int64_t written_rows(const AxisOperator& axis) noexcept {
    return axis.folds == 1 ? axis.strips * Panel<T>::strip : axis.n_out;
}

// y = axis x on one panel. Not for the identity. `line` takes the measure of the panel's
// columns (Panel<T>::rows values) where the axis has one; null: not wanted.
template <class T>
inline void apply_axis(const AxisOperator& axis, PanelRows<const T> x, T* folded_scratch,
                       T* result_scratch, PanelRows<T> y, T* line) noexcept {
    constexpr int columns = Panel<T>::rows;
    const PanelRows<T> folded{folded_scratch, columns};
    const PanelRows<T> results{result_scratch, columns};
    PanelRows<const T> seen = x;
    if (axis.folds == 1) {
        multiply_blocks(axis, x, y);
    } else {
        seen = {folded_scratch, columns};
        if (axis.folds == 2) {
            fold_in_two(axis, x, folded);
        } else {
            fold_in_four(axis, x, folded);
        }
        multiply_blocks(axis, seen, results);
        if (axis.folds == 2) {
            unfold_two(axis, PanelRows<const T>{result_scratch, columns}, y);
        } else {
            unfold_four(axis, PanelRows<const T>{result_scratch, columns}, y);
        }
    }
    if (line != nullptr && axis.folded_measure != nullptr) {
        Vector<T> sum[Panel<T>::vectors] = {};
        for (std::int64_t k = 0; k < axis.depth; ++k) {
            const Vector<T> weight = broadcast(static_cast<T>(axis.folded_measure[k]));
            const T* row = seen[axis.measured_block * axis.depth + k];
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
}

}  // namespace ipse::IPSE_ISA
