// The value of a second-moment loss through the D x D side.
#pragma once

#include <cstdint>

#include "base/parallel.h"
#include "base/sums.h"
#include "base/tile_gemm.h"
#include "cross_correlation/plan.h"
#include "cross_correlation/triangle.h"

namespace ipse::IPSE_ISA {

template <class T, class Loss>
void keep_tile(const Tile<T>& tile, int view, std::int64_t d, T* moments) noexcept {
    if (Loss::cross || view == 0) {
        for (std::int64_t i = 0; i < tile.rows; ++i) {
            const std::int64_t row = tile.row + i;
            const std::int64_t begin = Loss::cross || row < tile.col ? 0 : row - tile.col;
            for (std::int64_t j = begin; j < tile.cols; ++j) {
                moments[row * d + tile.col + j] = tile.data[i * tile.stride + j];
            }
        }
        return;
    }
    const Triangle<T> lower = covariance_triangle(moments, d, view);
    for (std::int64_t j = 0; j < tile.cols; ++j) {
        for (std::int64_t i = 0; i < tile.rows && tile.row + i <= tile.col + j; ++i) {
            lower.upper(tile.row + i, tile.col + j) = tile.data[i * tile.stride + j];
        }
    }
}

// The D x D matrix tile by tile, straight into the sum of its squares; stored only if
// backward will want it.
template <class T, class Loss>
double forward_features(const StridedMatrix (&views)[2], const Loss& loss, int max_threads,
                        T* moments) {
    const std::int64_t n = views[0].rows;
    const std::int64_t d = views[0].cols;
    const int threads = useful_threads(n, d, d, max_threads);
    const StripPlan<T> plan(n, d, 64 * 1024, 32, threads);
    const std::int64_t view_elements = PackedMatrix<T>::elements(d, n);
    const Shares<T> columns(2, view_elements);
    const Shares<ColumnStatistics> statistics(threads, plan.width());
    const Shares<double> values(1, plan.count());
    const TileGrid<T> grid(d, d, !Loss::cross, threads);
    const Shares<double> squares(1, grid.count());
    const Shares<T> scratch(1, threads * grid.scratch_elements());

    parallel_for(plan.count(), threads, [&](std::int64_t index, int worker) {
        const std::int64_t offset = index * plan.view_elements();
        const Strip<T> strip =
            plan.strip(index, columns[0] + offset, columns[1] + offset, statistics[worker]);
        fill_strip(views, loss, strip);
        values[0][index] = 0.0;
        for (std::int64_t c = 0; c < strip.columns; ++c) {
            values[0][index] += loss.column_value(strip.statistics[c]);
        }
    });

    double total = detail::sum_of(values[0], plan.count());
    const T divisor = static_cast<T>(loss.feature_divisor());
    for (int view = 0; view < (Loss::cross ? 1 : 2); ++view) {
        const PackedMatrix<T> left{columns[view], d, n};
        const PackedMatrix<T> right{columns[Loss::cross ? 1 : view], d, n};
        for (std::int64_t i = 0; i < grid.count(); ++i) {
            squares[0][i] = 0.0;
        }
        tile_gemm(left, right, grid, threads, scratch[0], [&](const Tile<T>& tile) {
            double sum = 0.0;
            for (std::int64_t i = 0; i < tile.rows; ++i) {
                T* line = tile.data + i * tile.stride;
                for (std::int64_t j = 0; j < tile.cols; ++j) {
                    line[j] /= divisor;
                }
                const std::int64_t diagonal = tile.row + i - tile.col;
                if (diagonal >= 0 && diagonal < tile.cols && !Loss::cross) {
                    line[diagonal] = T{0};
                }
                const std::int64_t begin =
                    Loss::cross || diagonal < 0 ? 0 : (diagonal < tile.cols ? diagonal : tile.cols);
                sum += detail::dot(line + begin, line + begin, tile.cols - begin);
                if (Loss::cross && diagonal >= 0 && diagonal < tile.cols) {
                    const double r = static_cast<double>(line[diagonal]);
                    sum -= r * r;
                }
            }
            squares[0][tile.index] = sum;
            if (moments != nullptr) {
                keep_tile<T, Loss>(tile, view, d, moments);
            }
        });
        total += loss.moment_weight() * (Loss::cross ? 1.0 : 2.0) *
                 detail::sum_of(squares[0], grid.count());
    }
    return total;
}

}  // namespace ipse::IPSE_ISA
