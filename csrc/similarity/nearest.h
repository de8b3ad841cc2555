// The nearest centroid of every point, without the N x K matrix of distances.
//
// Points lie along the vector lanes (they are the right operand), so the arg-min over the
// centroids compares whole vectors and nothing is ever reduced across lanes.
#pragma once

#include <cstdint>

#include "base/multiply.h"
#include "similarity/packed_points.h"

namespace ipse::IPSE_ISA {

template <class T>
class NearestCentroid {
public:
    static constexpr std::int64_t item_panels = 128 / Panel<T>::rows;
    static constexpr std::int64_t item_points = item_panels * Panel<T>::rows;
    static constexpr std::int64_t tile_centroids = 64;  // whole panels on every instruction set

    NearestCentroid(const StridedMatrix& points, std::int64_t centroids, int threads)
        : count_(points.rows),
          threads_(threads),
          packed_(points, threads),
          centroids_(1, PackedMatrix<T>::elements(centroids, points.cols + 1)),
          tiles_(threads, (tile_centroids + Panel<T>::strip) * item_points),
          labels_(1, padded_rows<T>(count_)),
          scores_(1, padded_rows<T>(count_)) {
        packed_.pack();
    }

    // Fills labels() for these centroids; the first of equally near ones counts.
    void assign(const StridedMatrix& centroids) noexcept {
        const PackedMatrix<T> left{centroids_[0], centroids.rows, centroids.cols + 1};
        packed_.pack_centroids(centroids, left);
        const std::int64_t panels = panel_count<T>(count_);
        parallel_for((panels + item_panels - 1) / item_panels, threads_,
                     [&](std::int64_t item, int worker) {
                         const std::int64_t first = item * item_panels;
                         const std::int64_t end =
                             panels - first < item_panels ? panels : first + item_panels;
                         assign_panels(left, first, end, tiles_[worker]);
                     });
    }

    const std::int32_t* labels() const noexcept { return labels_[0]; }
    std::int32_t* labels() noexcept { return labels_[0]; }
    PackedPoints<T>& points() noexcept { return packed_; }

private:
    using Labels = typename Simd<T>::Bits;

    void assign_panels(const PackedMatrix<T>& left, std::int64_t first, std::int64_t end,
                       T* tile) noexcept {
        const PackedMatrix<T> right = packed_.packed();
        for (std::int64_t row = 0; row < left.rows; row += tile_centroids) {
            const std::int64_t rows =
                left.rows - row < tile_centroids ? left.rows - row : tile_centroids;
            const Block block{row, row + rows, first, end};
            multiply_block(left, right, block, 0, left.depth, tile, item_points, false);
            for (std::int64_t p = first * Panel<T>::rows; p < end * Panel<T>::rows;
                 p += Simd<T>::lanes) {
                compare(tile + (p - first * Panel<T>::rows), rows, row, p);
            }
        }
    }

    // One vector of points against the centroids of a tile.
    void compare(const T* scores, std::int64_t rows, std::int64_t first_centroid,
                 std::int64_t point) noexcept {
        constexpr int lanes = Simd<T>::lanes;
        Vector<T> best = first_centroid == 0 ? broadcast(static_cast<T>(-__builtin_inf()))
                                             : load(scores_[0] + point);
        Labels chosen{};
        if (first_centroid > 0) {
            for (int lane = 0; lane < lanes; ++lane) {
                chosen[lane] = labels_[0][point + lane];
            }
        }
        for (std::int64_t c = 0; c < rows; ++c) {
            const Vector<T> score = load(scores + c * item_points);
            const Labels better = score > best;
            const Labels number =
                Labels{} + static_cast<typename Simd<T>::Integer>(first_centroid + c);
            best = better ? score : best;
            chosen = better ? number : chosen;
        }
        store(scores_[0] + point, best);
        for (int lane = 0; lane < lanes; ++lane) {
            labels_[0][point + lane] = static_cast<std::int32_t>(chosen[lane]);
        }
    }

    std::int64_t count_;
    int threads_;
    PackedPoints<T> packed_;
    Shares<T> centroids_;
    Shares<T> tiles_;
    Shares<std::int32_t> labels_;
    Shares<T> scores_;
};

namespace detail {

// A vector of doubles from as many values of T.
template <class T>
inline Vector<double> load_wide(const T* from) noexcept {
    constexpr int bytes = Simd<double>::lanes * static_cast<int>(sizeof(T));
    typedef T Narrow __attribute__((vector_size(bytes), aligned(alignof(T)), may_alias));
    return __builtin_convertvector(*reinterpret_cast<const Narrow*>(from), Vector<double>);
}

template <class T>
inline double squared_difference(const T* a, const T* b, std::int64_t depth) noexcept {
    constexpr int lanes = Simd<double>::lanes;
    Vector<double> sums = {};
    std::int64_t d = 0;
    for (; d + lanes <= depth; d += lanes) {
        const Vector<double> apart = load_wide(a + d) - load_wide(b + d);
        sums += apart * apart;
    }
    double rest = 0.0;
    for (; d < depth; ++d) {
        const double apart = static_cast<double>(a[d]) - static_cast<double>(b[d]);
        rest += apart * apart;
    }
    return sum_lanes<double>(sums) + rest;
}

}  // namespace detail

// |points[row] - centroid|^2 by differences, in double.
template <class T>
inline double squared_distance(const StridedMatrix& points, std::int64_t row,
                               const T* centroid) noexcept {
    const T* line = static_cast<const T*>(points.data) + row * points.row_stride;
    if (points.col_stride == 1) {
        return detail::squared_difference(line, centroid, points.cols);
    }
    double sum = 0.0;
    for (std::int64_t d = 0; d < points.cols; ++d) {
        const double apart =
            static_cast<double>(line[d * points.col_stride]) - static_cast<double>(centroid[d]);
        sum += apart * apart;
    }
    return sum;
}

}  // namespace ipse::IPSE_ISA
