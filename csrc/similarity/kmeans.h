// Lloyd's algorithm. The result depends on the points and the first centroids, never on the
// number of threads: sums are made over ranges of points that are fixed by N and K.
#pragma once

#include <cstdint>

#include "similarity/nearest.h"

namespace ipse::IPSE_ISA {

template <class T>
class Kmeans {
public:
    explicit Kmeans(const KmeansRequest& request)
        : request_(request),
          n_(request.points.rows),
          d_(request.points.cols),
          k_(request.centroids.rows),
          threads_(useful_threads(n_, k_, d_ + 1, request.threads)),
          nearest_(request.points, k_, threads_),
          // Each range keeps K sums: no more memory than half the points (float32).
          ranges_(sum_ranges(n_, k_)),
          sums_(ranges_, k_ * d_),
          counts_(ranges_, k_),
          changes_(1, ranges_),
          before_(1, n_),
          total_counts_(1, k_),
          movement_(1, k_),
          apart_(1, n_),
          inertia_(1, point_ranges(n_)) {}

    KmeansResult run() noexcept {
        const double limit =
            request_.tolerance > 0.0 ? request_.tolerance * nearest_.points().mean_variance() : 0.0;
        clear_sums();
        std::int64_t iterations = 0;
        bool settled = false;
        while (iterations < request_.max_iterations && !settled) {
            ++iterations;
            nearest_.assign(request_.centroids);
            const std::int64_t changed = move_points();
            const std::int64_t moved_away = fill_empty_clusters();
            const double movement = move_centroids();
            settled = changed == 0 && moved_away == 0;
            if (!settled && movement <= limit) {
                break;
            }
        }
        if (!settled) {
            nearest_.assign(request_.centroids);  // labels of the centroids that are returned
        }
        for (std::int64_t i = 0; i < n_; ++i) {
            request_.labels[i] = nearest_.labels()[i];
        }
        return {inertia(), iterations};
    }

private:
    static std::int64_t sum_ranges(std::int64_t points, std::int64_t centroids) noexcept {
        const std::int64_t most = points / (4 * centroids);
        const std::int64_t ranges = point_ranges(points);
        return most < 1 ? 1 : (most < ranges ? most : ranges);
    }

    T* centroid(std::int64_t c) const noexcept {
        return static_cast<T*>(request_.centroids.data) + c * d_;
    }

    void clear_sums() noexcept {
        for (std::int64_t range = 0; range < ranges_; ++range) {
            for (std::int64_t i = 0; i < k_ * d_; ++i) {
                sums_[range][i] = 0.0;
            }
            for (std::int64_t c = 0; c < k_; ++c) {
                counts_[range][c] = 0;
            }
        }
        for (std::int64_t i = 0; i < n_; ++i) {
            before_[0][i] = -1;
        }
    }

    // Takes every point whose label changed out of its old cluster's sum and into its new
    // one's. Sums in double: what drifts is far below the rounding of a centroid.
    std::int64_t move_points() noexcept {
        parallel_for(ranges_, threads_, [&](std::int64_t range, int) {
            std::int64_t changed = 0;
            const std::int64_t end = range_begin(n_, range + 1, ranges_);
            for (std::int64_t i = range_begin(n_, range, ranges_); i < end; ++i) {
                const std::int32_t label = nearest_.labels()[i];
                if (label != before_[0][i]) {
                    move_point(i, range, label);
                    ++changed;
                }
            }
            changes_[0][range] = changed;
        });
        for (std::int64_t c = 0; c < k_; ++c) {
            total_counts_[0][c] = 0;
        }
        std::int64_t changed = 0;
        for (std::int64_t range = 0; range < ranges_; ++range) {
            changed += changes_[0][range];
            for (std::int64_t c = 0; c < k_; ++c) {
                total_counts_[0][c] += counts_[range][c];
            }
        }
        return changed;
    }

    void move_point(std::int64_t point, std::int64_t range, std::int32_t label) noexcept {
        const std::int32_t old = before_[0][point];
        if (old >= 0) {
            add_point<T>(request_.points, point, -1.0, sums_[range] + old * d_);
            --counts_[range][old];
        }
        add_point<T>(request_.points, point, 1.0, sums_[range] + label * d_);
        ++counts_[range][label];
        before_[0][point] = label;
    }

    // Gives every empty cluster the point that lies farthest from its centroid, the first of
    // equally far ones; a point on its centroid or alone in its cluster stays.
    std::int64_t fill_empty_clusters() noexcept {
        std::int64_t filled = 0;
        for (std::int64_t c = 0; c < k_; ++c) {
            if (total_counts_[0][c] > 0) {
                continue;
            }
            if (filled == 0) {
                measure_points();
            }
            const std::int64_t point = farthest_point();
            if (point < 0) {
                break;
            }
            --total_counts_[0][before_[0][point]];
            ++total_counts_[0][c];
            move_point(point, range_of(point), static_cast<std::int32_t>(c));
            apart_[0][point] = 0.0;
            ++filled;
        }
        return filled;
    }

    std::int64_t range_of(std::int64_t point) const noexcept {
        std::int64_t range = 0;
        while (range_begin(n_, range + 1, ranges_) <= point) {
            ++range;
        }
        return range;
    }

    void measure_points() noexcept {
        parallel_for(point_ranges(n_), threads_, [&](std::int64_t range, int) {
            const std::int64_t end = range_begin(n_, range + 1, point_ranges(n_));
            for (std::int64_t i = range_begin(n_, range, point_ranges(n_)); i < end; ++i) {
                apart_[0][i] = squared_distance(request_.points, i, centroid(before_[0][i]));
            }
        });
    }

    std::int64_t farthest_point() const noexcept {
        std::int64_t farthest = -1;
        for (std::int64_t i = 0; i < n_; ++i) {
            const double distance = apart_[0][i];
            if (distance > (farthest < 0 ? 0.0 : apart_[0][farthest]) &&
                total_counts_[0][before_[0][i]] > 1) {
                farthest = i;
            }
        }
        return farthest;
    }

    // Every centroid to the mean of its points; returns the sum of squared movements.
    double move_centroids() noexcept {
        parallel_for(k_, threads_, [&](std::int64_t c, int) {
            if (total_counts_[0][c] == 0) {
                movement_[0][c] = 0.0;  // fewer different points than clusters: it stays
                return;
            }
            movement_[0][c] = replace(c);
        });
        double total = 0.0;
        for (std::int64_t c = 0; c < k_; ++c) {
            total += movement_[0][c];
        }
        return total;
    }

    double replace(std::int64_t c) noexcept {
        T* to = centroid(c);
        const double divisor =
            request_.spherical ? length(c) : static_cast<double>(total_counts_[0][c]);
        double movement = 0.0;
        for (std::int64_t d = 0; d < d_; ++d) {
            const T value = static_cast<T>(total(c, d) / divisor);
            const double apart = static_cast<double>(value) - static_cast<double>(to[d]);
            movement += apart * apart;
            to[d] = value;
        }
        return movement;
    }

    double total(std::int64_t c, std::int64_t feature) const noexcept {
        double sum = 0.0;
        for (std::int64_t range = 0; range < ranges_; ++range) {
            sum += sums_[range][c * d_ + feature];
        }
        return sum;
    }

    // Of the sum of a cluster's points; infinite where it is zero, so that the centroid is zero.
    double length(std::int64_t c) const noexcept {
        double squares = 0.0;
        for (std::int64_t d = 0; d < d_; ++d) {
            squares += total(c, d) * total(c, d);
        }
        return squares > 0.0 ? __builtin_sqrt(squares) : __builtin_inf();
    }

    double inertia() noexcept {
        const std::int64_t ranges = point_ranges(n_);
        parallel_for(ranges, threads_, [&](std::int64_t range, int) {
            double sum = 0.0;
            const std::int64_t end = range_begin(n_, range + 1, ranges);
            for (std::int64_t i = range_begin(n_, range, ranges); i < end; ++i) {
                sum += squared_distance(request_.points, i, centroid(nearest_.labels()[i]));
            }
            inertia_[0][range] = sum;
        });
        double sum = 0.0;
        for (std::int64_t range = 0; range < ranges; ++range) {
            sum += inertia_[0][range];
        }
        return sum;
    }

    const KmeansRequest& request_;
    std::int64_t n_;
    std::int64_t d_;
    std::int64_t k_;
    int threads_;
    NearestCentroid<T> nearest_;
    std::int64_t ranges_;
    Shares<double> sums_;
    Shares<std::int64_t> counts_;
    Shares<std::int64_t> changes_;
    Shares<std::int32_t> before_;
    Shares<std::int64_t> total_counts_;
    Shares<double> movement_;
    Shares<double> apart_;
    Shares<double> inertia_;
};

}  // namespace ipse::IPSE_ISA
