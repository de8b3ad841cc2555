// Greedy k-means++: where Lloyd's algorithm starts.
#pragma once

#include <cstdint>

#include "similarity/picked_distances.h"

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

}  // namespace ipse::IPSE_ISA
