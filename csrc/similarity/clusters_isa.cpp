#include "base/isa_table.h"
#include "similarity/farthest_points.h"
#include "similarity/kmeans.h"
#include "similarity/nearest.h"
#include "similarity/seeding.h"

namespace ipse::IPSE_ISA {
namespace {

// Calls run(T{}) with the points' type.
template <class Run>
auto with_type(const StridedMatrix& points, const Run& run) {
    return points.dtype == DType::float64 ? run(double{}) : run(float{});
}

template <class T>
void nearest_as(const NearestRequest& request) {
    const std::int64_t k = request.centroids.rows;
    const int threads =
        useful_threads(request.points.rows, k, request.points.cols + 1, request.threads);
    NearestCentroid<T> nearest(request.points, k, threads);
    nearest.assign(request.centroids);
    const std::int64_t ranges = point_ranges(request.points.rows);
    parallel_for(ranges, threads, [&](std::int64_t range, int) {
        const std::int64_t end = range_begin(request.points.rows, range + 1, ranges);
        for (std::int64_t i = range_begin(request.points.rows, range, ranges); i < end; ++i) {
            const std::int32_t label = nearest.labels()[i];
            request.labels[i] = label;
            const T* centroid =
                static_cast<const T*>(request.centroids.data) + label * request.points.cols;
            static_cast<T*>(request.distances.data)[i] =
                static_cast<T>(squared_distance(request.points, i, centroid));
        }
    });
}

void nearest_centroid(const NearestRequest& request) {
    with_type(request.points, [&](auto type) { nearest_as<decltype(type)>(request); });
}

KmeansResult kmeans(const KmeansRequest& request) {
    return with_type(request.points,
                     [&](auto type) { return Kmeans<decltype(type)>(request).run(); });
}

void kmeans_plus_plus(const SeedRequest& request) {
    with_type(request.points, [&](auto type) { KmeansPlusPlus<decltype(type)>(request).run(); });
}

void farthest_points(const FarthestRequest& request) {
    with_type(request.points, [&](auto type) { FarthestPoints<decltype(type)>(request).run(); });
}

}  // namespace

const ClustersTable clusters_table = {nearest_centroid, kmeans, kmeans_plus_plus, farthest_points};

}  // namespace ipse::IPSE_ISA
