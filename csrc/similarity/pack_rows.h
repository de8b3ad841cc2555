// Rows packed for a similarity: as they are, normalised, or with one more component that
// turns the product into a squared distance.
#pragma once

#include <cstdint>

#include "base/half.h"
#include "base/panels.h"
#include "similarity/neighbours_requests.h"

namespace ipse::IPSE_ISA {

// The product of a row x and a column y is
//   dot      x . y
//   cosine   x . y / (max(|x|, eps) max(|y|, eps)), eps = 1e-12 as in torch's normalize
//   l2       2 x . y - |y|^2: the squared distance is |x|^2 minus this
enum class Operand : std::uint8_t { row, column };

constexpr std::int64_t packed_depth(Metric metric, std::int64_t depth) noexcept {
    return metric == Metric::l2 ? depth + 1 : depth;
}

namespace detail {

template <class T>
inline void pack_plain(const StridedMatrix& from, std::int64_t index, T* to) noexcept {
    visit_dtype(from.dtype, [&](auto storage) {
        using S = decltype(storage);
        const Source<S> source{static_cast<const S*>(from.data), from.row_stride, from.col_stride};
        if constexpr (sizeof(S) <= sizeof(T)) {
            pack_panel<T>(source, from.rows, index, 0, from.cols, to);
        }
    });
}

// |row|^2 of every row of a packed panel.
template <class T>
inline void panel_squares(const T* panel, std::int64_t depth, T* squares) noexcept {
    constexpr int rows = Panel<T>::rows;
    T sums[rows] = {};
    for (std::int64_t d = 0; d < depth; ++d, panel += rows) {
        for (int r = 0; r < rows; ++r) {
            sums[r] += panel[r] * panel[r];
        }
    }
    for (int r = 0; r < rows; ++r) {
        squares[r] = sums[r];
    }
}

}  // namespace detail

// Packs panel `index` of `from` to `to`, packed_depth() deep. squares: null, or room for
// |row|^2 of the panel's rows (before any scaling).
template <class T>
inline void pack_rows(const StridedMatrix& from, Metric metric, Operand operand, std::int64_t index,
                      T* to, T* squares) noexcept {
    constexpr int rows = Panel<T>::rows;
    detail::pack_plain(from, index, to);
    T own[rows];
    if (metric != Metric::dot || squares != nullptr) {
        detail::panel_squares(to, from.cols, own);
    }
    for (int r = 0; r < rows && squares != nullptr; ++r) {
        squares[r] = own[r];
    }
    if (metric == Metric::cosine) {
        for (int r = 0; r < rows; ++r) {
            const T norm = static_cast<T>(__builtin_sqrt(own[r]));
            own[r] = norm < T(1e-12) ? T(1e-12) : norm;  // NaN stays
        }
        for (std::int64_t d = 0; d < from.cols; ++d) {
            for (int r = 0; r < rows; ++r) {
                to[d * rows + r] /= own[r];
            }
        }
    } else if (metric == Metric::l2) {
        T* last = to + from.cols * rows;
        for (int r = 0; r < rows; ++r) {
            // own - own: 0, or NaN in a row that is not finite, which is then at no distance.
            last[r] = operand == Operand::row ? own[r] - own[r] - T{1} : own[r];
        }
        for (std::int64_t i = 0; i < from.cols * rows && operand == Operand::row; ++i) {
            to[i] *= 2;
        }
    }
}

}  // namespace ipse::IPSE_ISA
