// Points in panels, moved to their mean: all distances between them stay, and their squares
// lose as few digits as possible.
#pragma once

#include <cstdint>

#include "base/panels.h"
#include "base/parallel.h"
#include "base/shares.h"

namespace ipse::IPSE_ISA {

// Work on N points whose result is summed is cut into this many ranges, whatever the threads.
inline std::int64_t point_ranges(std::int64_t points) noexcept {
    const std::int64_t ranges = (points + 1023) / 1024;
    return ranges < 64 ? ranges : 64;
}

inline std::int64_t range_begin(std::int64_t points, std::int64_t range,
                                std::int64_t ranges) noexcept {
    return points / ranges * range + points % ranges * range / ranges;
}

template <class T>
inline T point_value(const StridedMatrix& points, std::int64_t row, std::int64_t feature) noexcept {
    return static_cast<const T*>(
        points.data)[row * points.row_stride + feature * points.col_stride];
}

// sum += weight * points[row], in double.
template <class T>
inline void add_point(const StridedMatrix& points, std::int64_t row, double weight,
                      double* sum) noexcept {
    const T* line = static_cast<const T*>(points.data) + row * points.row_stride;
    if (points.col_stride == 1) {
        for (std::int64_t d = 0; d < points.cols; ++d) {
            sum[d] += weight * static_cast<double>(line[d]);
        }
        return;
    }
    for (std::int64_t d = 0; d < points.cols; ++d) {
        sum[d] += weight * static_cast<double>(line[d * points.col_stride]);
    }
}

template <class T>
class PackedPoints {
public:
    PackedPoints(const StridedMatrix& points, int threads)
        : points_(points),
          threads_(threads),
          mean_(1, points.cols),
          sums_(point_ranges(points.rows), points.cols),
          values_(1, PackedMatrix<T>::elements(points.rows, points.cols + 1)) {}

    // Each panel is D lines of values and one line of ones, where a centroid's square goes.
    void pack() noexcept {
        find_mean();
        const PackedMatrix<T> to = packed();
        parallel_for(panel_count<T>(points_.rows), threads_,
                     [&](std::int64_t panel, int) { pack_shifted(points_, panel, T{1}, to); });
    }

    // Packs a matrix of centroids so that its product with the points is
    // 2 x . c - |c|^2: the largest belongs to the nearest centroid.
    void pack_centroids(const StridedMatrix& centroids, const PackedMatrix<T>& to) const noexcept {
        constexpr int rows = Panel<T>::rows;
        for (std::int64_t index = 0; index < panel_count<T>(centroids.rows); ++index) {
            pack_shifted(centroids, index, T{0}, to);
            T* line = to.panel(index);
            T* last = line + points_.cols * rows;
            for (std::int64_t d = 0; d < points_.cols; ++d, line += rows) {
                for (int r = 0; r < rows; ++r) {
                    last[r] -= line[r] * line[r];
                    line[r] *= 2;
                }
            }
        }
    }

    // Mean over the features of the points' variance.
    double mean_variance() noexcept {
        const std::int64_t ranges = point_ranges(points_.rows);
        parallel_for(ranges, threads_, [&](std::int64_t range, int) {
            double total = 0.0;
            const std::int64_t end = range_begin(points_.rows, range + 1, ranges);
            for (std::int64_t i = range_begin(points_.rows, range, ranges); i < end; ++i) {
                for (std::int64_t d = 0; d < points_.cols; ++d) {
                    const double apart =
                        static_cast<double>(point_value<T>(points_, i, d)) - mean_[0][d];
                    total += apart * apart;
                }
            }
            sums_[range][0] = total;
        });
        double total = 0.0;
        for (std::int64_t range = 0; range < ranges; ++range) {
            total += sums_[range][0];
        }
        return total / static_cast<double>(points_.rows) / static_cast<double>(points_.cols);
    }

    PackedMatrix<T> packed() const noexcept { return {values_[0], points_.rows, points_.cols + 1}; }
    T mean(std::int64_t feature) const noexcept { return static_cast<T>(mean_[0][feature]); }

private:
    void find_mean() noexcept {
        const std::int64_t ranges = point_ranges(points_.rows);
        parallel_for(ranges, threads_, [&](std::int64_t range, int) {
            double* sum = sums_[range];
            for (std::int64_t d = 0; d < points_.cols; ++d) {
                sum[d] = 0.0;
            }
            const std::int64_t end = range_begin(points_.rows, range + 1, ranges);
            for (std::int64_t i = range_begin(points_.rows, range, ranges); i < end; ++i) {
                add_point<T>(points_, i, 1.0, sum);
            }
        });
        for (std::int64_t d = 0; d < points_.cols; ++d) {
            double sum = 0.0;
            for (std::int64_t range = 0; range < ranges; ++range) {
                sum += sums_[range][d];
            }
            mean_[0][d] = sum / static_cast<double>(points_.rows);
        }
    }

    void pack_shifted(const StridedMatrix& from, std::int64_t index, T last,
                      const PackedMatrix<T>& to) const noexcept {
        constexpr int rows = Panel<T>::rows;
        const Source<T> source{static_cast<const T*>(from.data), from.row_stride, from.col_stride};
        T* line = to.panel(index);
        pack_panel<T>(source, from.rows, index, 0, from.cols, line);
        for (std::int64_t d = 0; d < from.cols; ++d, line += rows) {
            const T shift = mean(d);
            for (int r = 0; r < rows; ++r) {
                line[r] -= shift;
            }
        }
        for (int r = 0; r < rows; ++r) {
            line[r] = last;
        }
    }

    const StridedMatrix& points_;
    int threads_;
    Shares<double> mean_;
    Shares<double> sums_;
    Shares<T> values_;
};

}  // namespace ipse::IPSE_ISA
