// Points picked one after the other by their distance to those picked before: k-means++ and
// the greedy k-centre. Distances are made of differences, so a copy of a pick is at exactly 0.
#pragma once

#include <cstdint>

#include "similarity/packed_points.h"

namespace ipse::IPSE_ISA {

// SplitMix64 (Steele, Lea, Flood 2014): one 64-bit state, the same numbers everywhere.
class SplitMix64 {
public:
    explicit SplitMix64(std::uint64_t seed) noexcept : state_(seed) {}

    std::uint64_t next() noexcept {
        state_ += 0x9e3779b97f4a7c15U;
        std::uint64_t z = state_;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
        return z ^ (z >> 31);
    }

    // In [0, 1), 53 random bits.
    double uniform() noexcept { return static_cast<double>(next() >> 11) * 0x1p-53; }

private:
    std::uint64_t state_;
};

// Squared distances of all points to a few of them, range by range.
template <class T>
class PickedDistances {
public:
    static constexpr std::int64_t block_panels = 1024 / Panel<T>::rows;
    static constexpr std::int64_t block_points = block_panels * Panel<T>::rows;

    // together: how many picks are measured at once.
    PickedDistances(const StridedMatrix& points, std::int64_t together, int threads)
        : points_(points),
          threads_(threads),
          packed_(points, threads),
          picks_(together, points.cols),
          distances_(together, padded_rows<T>(points.rows)),
          closest_(1, padded_rows<T>(points.rows)) {
        packed_.pack();
        for (std::int64_t i = 0; i < points.rows; ++i) {
            closest_[0][i] = static_cast<T>(__builtin_inf());
        }
    }

    std::int64_t blocks() const noexcept {
        return (points_.rows + block_points - 1) / block_points;
    }
    std::int64_t block_end(std::int64_t block) const noexcept {
        return points_.rows - block * block_points < block_points ? points_.rows
                                                                  : (block + 1) * block_points;
    }

    // Measures picks[0, count) and calls visit(block) once a block's distances are there.
    template <class Visit>
    void measure(const std::int64_t* picks, std::int64_t count, const Visit& visit) noexcept {
        for (std::int64_t i = 0; i < count; ++i) {
            for (std::int64_t d = 0; d < points_.cols; ++d) {
                picks_[i][d] = point_value<T>(points_, picks[i], d) - packed_.mean(d);
            }
        }
        parallel_for(blocks(), threads_, [&](std::int64_t block, int) {
            const std::int64_t last = panel_count<T>(block_end(block));
            for (std::int64_t panel = block * block_panels; panel < last; ++panel) {
                for (std::int64_t i = 0; i < count; i += 2) {
                    i + 1 < count ? measure_panel<2>(panel, i) : measure_panel<1>(panel, i);
                }
            }
            visit(block);
        });
    }

    const T* distances(std::int64_t pick) const noexcept { return distances_[pick]; }
    T* closest() const noexcept { return closest_[0]; }

private:
    template <int count>
    void measure_panel(std::int64_t panel, std::int64_t first) noexcept {
        constexpr int rows = Panel<T>::rows;
        constexpr int lanes = Simd<T>::lanes;
        constexpr int vectors = Panel<T>::vectors;
        const T* line = packed_.packed().panel(panel);
        Vector<T> sums[count][vectors] = {};
        for (std::int64_t d = 0; d < points_.cols; ++d, line += rows) {
#pragma GCC unroll 2
            for (int i = 0; i < count; ++i) {
                const Vector<T> value = broadcast(picks_[first + i][d]);
#pragma GCC unroll 4
                for (int v = 0; v < vectors; ++v) {
                    const Vector<T> apart = load(line + v * lanes) - value;
                    sums[i][v] += apart * apart;
                }
            }
        }
        for (int i = 0; i < count; ++i) {
            for (int v = 0; v < vectors; ++v) {
                store(distances_[first + i] + panel * rows + v * lanes, sums[i][v]);
            }
        }
    }

    const StridedMatrix& points_;
    int threads_;
    PackedPoints<T> packed_;
    Shares<T> picks_;
    Shares<T> distances_;
    Shares<T> closest_;
};

// Greedy k-means++: each new centre is the best of a few candidates, drawn with probability
// proportional to the squared distance to the centres so far.
template <class T>
class KmeansPlusPlus {
public:
    explicit KmeansPlusPlus(const SeedRequest& request)
        : request_(request),
          trials_(trial_count(request.count)),
          picked_(request.points, trials_,
                  useful_threads(request.points.rows, request.points.cols, 2, request.threads)),
          sums_(trials_, picked_.blocks()),
          candidates_(1, trials_) {}

    void run() noexcept {
        SplitMix64 random(request_.seed);
        const std::int64_t n = request_.points.rows;
        auto first = static_cast<std::int64_t>(random.uniform() * static_cast<double>(n));
        request_.indices[0] = first < n ? first : n - 1;
        evaluate(request_.indices, 1);
        adopt(0);
        for (std::int64_t c = 1; c < request_.count; ++c) {
            if (!(total_ > 0.0)) {
                request_.indices[c] = first_unpicked(c);  // fewer different points than centres
                continue;
            }
            for (std::int64_t i = 0; i < trials_; ++i) {
                candidates_[0][i] = draw(random.uniform() * total_);
            }
            const std::int64_t best = evaluate(candidates_[0], trials_);
            request_.indices[c] = candidates_[0][best];
            adopt(best);
        }
    }

private:
    // As scikit-learn: 2 + log K.
    static std::int64_t trial_count(std::int64_t centres) noexcept {
        return 2 + static_cast<std::int64_t>(__builtin_log(static_cast<double>(centres)));
    }

    // The sums of squared distances if each candidate were the next centre; the best one.
    std::int64_t evaluate(const std::int64_t* picks, std::int64_t count) noexcept {
        picked_.measure(picks, count, [&](std::int64_t block) {
            for (std::int64_t i = 0; i < count; ++i) {
                double sum = 0.0;
                for (std::int64_t p = block * picked_.block_points; p < picked_.block_end(block);
                     ++p) {
                    sum += static_cast<double>(nearer(i, p));
                }
                sums_[i][block] = sum;
            }
        });
        std::int64_t best = 0;
        for (std::int64_t i = 0; i < count; ++i) {
            best = sum_of(i) < sum_of(best) ? i : best;
        }
        return best;
    }

    T nearer(std::int64_t pick, std::int64_t point) const noexcept {
        const T distance = picked_.distances(pick)[point];
        const T closest = picked_.closest()[point];
        return distance < closest ? distance : closest;
    }

    double sum_of(std::int64_t pick) const noexcept {
        double sum = 0.0;
        for (std::int64_t block = 0; block < picked_.blocks(); ++block) {
            sum += sums_[pick][block];
        }
        return sum;
    }

    void adopt(std::int64_t pick) noexcept {
        for (std::int64_t p = 0; p < request_.points.rows; ++p) {
            picked_.closest()[p] = nearer(pick, p);
        }
        for (std::int64_t block = 0; block < picked_.blocks() && pick > 0; ++block) {
            sums_[0][block] = sums_[pick][block];
        }
        total_ = sum_of(0);
    }

    // The point at which the running sum of squared distances passes `target`.
    std::int64_t draw(double target) const noexcept {
        std::int64_t block = 0;
        while (block + 1 < picked_.blocks() && target >= sums_[0][block]) {
            target -= sums_[0][block];
            ++block;
        }
        std::int64_t chosen = -1;
        for (std::int64_t p = block * picked_.block_points; p < picked_.block_end(block); ++p) {
            const auto distance = static_cast<double>(picked_.closest()[p]);
            if (distance > 0.0) {
                chosen = p;  // the last one where rounding leaves the target beyond all
                if (target < distance) {
                    break;
                }
                target -= distance;
            }
        }
        return chosen >= 0 ? chosen : farthest();
    }

    // Reached only where rounding led into a block of copies of the centres.
    std::int64_t farthest() const noexcept {
        std::int64_t best = 0;
        for (std::int64_t p = 1; p < request_.points.rows; ++p) {
            best = picked_.closest()[p] > picked_.closest()[best] ? p : best;
        }
        return best;
    }

    // Of the points that are none of the first `count` picks.
    std::int64_t first_unpicked(std::int64_t count) const noexcept {
        for (std::int64_t p = 0;; ++p) {
            bool picked = false;
            for (std::int64_t c = 0; c < count && !picked; ++c) {
                picked = request_.indices[c] == p;
            }
            if (!picked) {
                return p;
            }
        }
    }

    const SeedRequest& request_;
    std::int64_t trials_;
    PickedDistances<T> picked_;
    Shares<double> sums_;
    Shares<std::int64_t> candidates_;
    double total_ = 0.0;
};

// Gonzalez' greedy k-centre: the next pick is the point farthest from all picks so far, the
// first of equally far ones.
template <class T>
class FarthestPoints {
public:
    explicit FarthestPoints(const FarthestRequest& request)
        : request_(request),
          picked_(request.points, 1,
                  useful_threads(request.points.rows, request.points.cols, 2, request.threads)),
          farthest_(1, picked_.blocks()) {}

    void run() noexcept {
        T* distances = static_cast<T*>(request_.distances.data);
        std::int64_t next = request_.start;
        T distance = static_cast<T>(__builtin_inf());
        for (std::int64_t s = 0; s < request_.count; ++s) {
            request_.indices[s] = next;
            distances[s] = static_cast<T>(__builtin_sqrt(distance));
            picked_.closest()[next] = -1;  // never again, even among copies at distance 0
            picked_.measure(&next, 1, [&](std::int64_t block) { update(block); });
            next = farthest_[0][0];
            for (std::int64_t block = 1; block < picked_.blocks(); ++block) {
                const std::int64_t point = farthest_[0][block];
                next = picked_.closest()[point] > picked_.closest()[next] ? point : next;
            }
            distance = picked_.closest()[next];
        }
    }

private:
    void update(std::int64_t block) noexcept {
        const T* distance = picked_.distances(0);
        T* closest = picked_.closest();
        const std::int64_t begin = block * picked_.block_points;
        const std::int64_t end = picked_.block_end(block);
        for (std::int64_t p = begin; p < end; ++p) {
            closest[p] = distance[p] < closest[p] ? distance[p] : closest[p];
        }
        std::int64_t best = begin;
        for (std::int64_t p = begin + 1; p < end; ++p) {
            best = closest[p] > closest[best] ? p : best;
        }
        farthest_[0][block] = best;
    }

    const FarthestRequest& request_;
    PickedDistances<T> picked_;
    Shares<std::int64_t> farthest_;
};

}  // namespace ipse::IPSE_ISA
