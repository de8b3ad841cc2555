// Symmetric matrices of which one triangle is stored.
//
// Two of them share one buffer, so backward is handed one square instead of two:
// the first matrix fills the upper triangle, the second, transposed, the lower.
//   samples side:  (N, N + 1); K_1(i, j) at [i][j + 1], K_2(i, j) at [j][i], i <= j
//   features side: (D, D);     C_1(i, j) at [i][j],     C_2(i, j) at [j][i], i <  j, diagonal 0
#pragma once

#include <cstdint>

#include "base/panels.h"

namespace ipse::IPSE_ISA {

template <class T>
struct Triangle {
    T* data = nullptr;  // element (i, j), i <= j, at data[i * row_stride + j * col_stride]
    std::int64_t row_stride = 0;
    std::int64_t col_stride = 0;
    bool has_diagonal = true;  // false: the diagonal is not stored and counts as zero

    T& upper(std::int64_t i, std::int64_t j) const noexcept {
        return data[i * row_stride + j * col_stride];
    }
    T at(std::int64_t i, std::int64_t j) const noexcept {
        if (i == j && !has_diagonal) {
            return T{0};
        }
        return i <= j ? upper(i, j) : upper(j, i);
    }
};

template <class T>
Triangle<T> gram_triangle(T* moments, std::int64_t samples, int which) noexcept {
    return which == 0 ? Triangle<T>{moments + 1, samples + 1, 1, true}
                      : Triangle<T>{moments, 1, samples + 1, true};
}

template <class T>
Triangle<T> covariance_triangle(T* moments, std::int64_t features, int which) noexcept {
    return which == 0 ? Triangle<T>{moments, features, 1, false}
                      : Triangle<T>{moments, 1, features, false};
}

// Packs rows of panel `index`, k in [k_begin, k_end), of the whole symmetric matrix:
// left of the diagonal block the stored triangle is read across, right of it along.
template <class T>
void pack_panel(const Triangle<T>& from, std::int64_t size, std::int64_t index,
                std::int64_t k_begin, std::int64_t k_end, T* to) noexcept {
    constexpr std::int64_t rows = Panel<T>::rows;
    const std::int64_t row = index * rows;
    const auto clamp = [&](std::int64_t k) {
        return k < k_begin ? k_begin : (k > k_end ? k_end : k);
    };
    const std::int64_t block_begin = clamp(row);
    const std::int64_t block_end = clamp(row + rows);
    const Source<T> across{from.data, from.col_stride, from.row_stride};
    pack_panel(across, size, index, k_begin, block_begin, to);
    for (std::int64_t k = block_begin; k < block_end; ++k) {
        T* line = to + (k - k_begin) * rows;
        for (std::int64_t r = 0; r < rows; ++r) {
            line[r] = row + r < size ? from.at(row + r, k) : T{0};
        }
    }
    const Source<T> along{from.data, from.row_stride, from.col_stride};
    pack_panel(along, size, index, block_end, k_end, to + (block_end - k_begin) * rows);
}

}  // namespace ipse::IPSE_ISA
