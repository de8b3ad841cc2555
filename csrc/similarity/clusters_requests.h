// What the bindings ask of the clustering kernels. Shared by all instruction sets.
#pragma once

#include <cstdint>

#include "base/matrix.h"

namespace ipse {

// Points are (N, D), float32 or float64, any strides; everything else is C order in their dtype.

struct NearestRequest {
    StridedMatrix points;
    StridedMatrix centroids;  // (K, D)
    std::int64_t* labels{};   // (N,)
    StridedMatrix distances;  // (N, 1), squared; null data: not wanted
    int threads = 1;
};

struct KmeansRequest {
    StridedMatrix points;
    StridedMatrix centroids;  // (K, D), where to start; replaced by the result
    std::int64_t* labels{};   // (N,)
    std::int64_t max_iterations = 100;
    double tolerance = 1e-4;  // of the centroids' movement, relative to the points' variance
    bool spherical = false;   // centroids are scaled to unit length
    int threads = 1;
};

struct KmeansResult {
    double inertia = 0.0;  // sum of squared distances to the assigned centroids
    std::int64_t iterations = 0;
};

struct SeedRequest {
    StridedMatrix points;
    std::uint64_t seed = 0;
    std::int64_t count = 1;   // K <= N
    std::int64_t* indices{};  // (K,), distinct
    int threads = 1;
};

struct FarthestRequest {
    StridedMatrix points;
    std::int64_t start = 0;   // the first pick
    std::int64_t count = 1;   // S <= N
    std::int64_t* indices{};  // (S,), distinct
    StridedMatrix
        distances;  // (S, 1): from each pick to the picks before it; infinite for the first
    int threads = 1;
};

struct ClustersTable {
    void (*nearest_centroid)(const NearestRequest&);
    KmeansResult (*kmeans)(const KmeansRequest&);
    void (*kmeans_plus_plus)(const SeedRequest&);
    void (*farthest_points)(const FarthestRequest&);
};

}  // namespace ipse
