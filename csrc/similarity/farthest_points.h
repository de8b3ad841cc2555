// The greedy k-centre: points that are far from each other and so near to all others.
#pragma once

#include <cstdint>

#include "similarity/picked_distances.h"

namespace ipse::IPSE_ISA {

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
