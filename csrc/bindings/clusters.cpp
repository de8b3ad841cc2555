// ipse._core: k-means, its seeding, nearest centroids and the greedy k-centre.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/checked_size.h"
#include "base/isa_table.h"
#include "bindings/arrays.h"
#include "bindings/integers.h"
#include "bindings/register.h"

namespace ipse::bindings {
namespace {

// Points: float32 or float64, N >= 1, D >= 1, of sizes whose products fit 63 bits.
StridedMatrix point_matrix(const char* name, const py::array& array, std::int64_t clusters,
                           int threads) {
    const StridedMatrix points = input_matrix(name, "points", array);
    if (points.dtype != DType::float32 && points.dtype != DType::float64) {
        throw py::type_error(std::string(name) + ": points must be float32 or float64, got " +
                             dtype_name(points.dtype));
    }
    if (points.rows < 1 || points.cols < 1) {
        value_error(
            name, "points must have at least 1 row and 1 feature, got shape " + shape_text(points));
    }
    if (points.rows > std::numeric_limits<std::int32_t>::max() - 1024) {
        value_error(name, "points must have fewer than 2^31 - 1024 rows, got " +
                              std::to_string(points.rows));
    }
    try {
        const std::int64_t depth = checked_add(points.cols, 512);
        checked_multiply(checked_multiply(checked_add(points.rows, 512), depth), 128);
        checked_multiply(checked_multiply(checked_add(clusters, 512), depth), 64 * 128);
        checked_multiply(checked_multiply(depth, threads), 512 * 16);
    } catch (const std::length_error&) {
        value_error(name, "points of shape " + shape_text(points) + " overflow 64-bit sizes");
    }
    return points;
}

StridedMatrix result_matrix(const char* name, const char* argument, const py::array& array,
                            const StridedMatrix& points, std::int64_t rows, std::int64_t cols) {
    const StridedMatrix matrix = output_matrix(name, argument, array, true);
    if (matrix.dtype != points.dtype) {
        throw py::type_error(std::string(name) + ": " + argument + " must have the points' dtype " +
                             dtype_name(points.dtype) + ", got " + dtype_name(matrix.dtype));
    }
    if (matrix.rows != rows || matrix.cols != cols) {
        value_error(name, std::string(argument) + " must have shape (" + std::to_string(rows) +
                              ", " + std::to_string(cols) + "), got " + shape_text(matrix));
    }
    require_apart(name, argument, matrix, "points", points);
    return matrix;
}

std::int64_t* result_indices(const char* name, const char* argument, const py::array& array,
                             std::int64_t length) {
    if (!array.writeable()) {
        value_error(name, std::string(argument) + " must be writable, got a read-only array");
    }
    return const_cast<std::int64_t*>(int64_vector(name, argument, array, length));
}

std::int64_t length_of(const char* name, const char* argument, const py::array& array,
                       std::int64_t most) {
    const std::int64_t length = array.ndim() == 1 ? array.shape(0) : -1;
    if (length < 1 || length > most) {
        value_error(name, std::string(argument) + " must have shape (K,) with K from 1 to " +
                              std::to_string(most));
    }
    return length;
}

void nearest_centroid(const py::array& points, const py::array& centroids, const py::array& labels,
                      const py::array& distances, int num_threads) {
    constexpr const char* name = "nearest_centroid";
    NearestRequest request;
    request.threads = thread_count(name, num_threads);
    request.centroids = input_matrix(name, "centroids", centroids);
    request.points = point_matrix(name, points, request.centroids.rows, request.threads);
    if (request.centroids.dtype != request.points.dtype ||
        request.centroids.cols != request.points.cols || request.centroids.rows < 1 ||
        (centroids.flags() & py::array::c_style) == 0) {
        value_error(name, std::string("centroids must be C-contiguous ") +
                              dtype_name(request.points.dtype) + " of shape (K, " +
                              std::to_string(request.points.cols) + ") with K >= 1, got " +
                              dtype_name(request.centroids.dtype) + " of shape " +
                              shape_text(request.centroids));
    }
    request.labels = result_indices(name, "labels", labels, request.points.rows);
    request.distances =
        result_matrix(name, "distances", distances, request.points, request.points.rows, 1);
    require_apart(name, "distances", request.distances, "centroids", request.centroids);
    const py::gil_scoped_release release;
    isa_table().clusters->nearest_centroid(request);
}

std::pair<double, std::int64_t> kmeans(const py::array& points, const py::array& centroids,
                                       const py::array& labels, std::int64_t max_iterations,
                                       double tolerance, bool spherical, int num_threads) {
    constexpr const char* name = "kmeans";
    KmeansRequest request;
    request.threads = thread_count(name, num_threads);
    const std::int64_t clusters = centroids.ndim() == 2 ? centroids.shape(0) : 0;
    request.points = point_matrix(name, points, clusters, request.threads);
    request.centroids =
        result_matrix(name, "centroids", centroids, request.points, clusters, request.points.cols);
    if (clusters < 1 || clusters > request.points.rows) {
        value_error(name, "centroids must have from 1 to " + std::to_string(request.points.rows) +
                              " rows, the number of points, got " + std::to_string(clusters));
    }
    if (max_iterations < 0) {
        value_error(name,
                    "max_iterations must be at least 0, got " + std::to_string(max_iterations));
    }
    if (!(tolerance >= 0.0) || std::isinf(tolerance)) {
        value_error(name,
                    "tolerance must be finite and at least 0, got " + std::to_string(tolerance));
    }
    request.labels = result_indices(name, "labels", labels, request.points.rows);
    request.max_iterations = max_iterations;
    request.tolerance = tolerance;
    request.spherical = spherical;
    KmeansResult result;
    {
        const py::gil_scoped_release release;
        result = isa_table().clusters->kmeans(request);
    }
    return {result.inertia, result.iterations};
}

void kmeans_plus_plus(const py::array& points, std::uint64_t seed, const py::array& indices,
                      int num_threads) {
    constexpr const char* name = "kmeans_plus_plus";
    SeedRequest request;
    request.threads = thread_count(name, num_threads);
    request.points = point_matrix(name, points, 1, request.threads);
    request.seed = seed;
    request.count = length_of(name, "indices", indices, request.points.rows);
    request.indices = result_indices(name, "indices", indices, request.count);
    const py::gil_scoped_release release;
    isa_table().clusters->kmeans_plus_plus(request);
}

void farthest_points(const py::array& points, std::int64_t start, const py::array& indices,
                     const py::array& distances, int num_threads) {
    constexpr const char* name = "farthest_points";
    FarthestRequest request;
    request.threads = thread_count(name, num_threads);
    request.points = point_matrix(name, points, 1, request.threads);
    if (start < 0 || start >= request.points.rows) {
        value_error(name, "start must be from 0 to " + std::to_string(request.points.rows - 1) +
                              ", got " + std::to_string(start));
    }
    request.start = start;
    request.count = length_of(name, "indices", indices, request.points.rows);
    request.indices = result_indices(name, "indices", indices, request.count);
    request.distances =
        result_matrix(name, "distances", distances, request.points, request.count, 1);
    const py::gil_scoped_release release;
    isa_table().clusters->farthest_points(request);
}

}  // namespace

void register_clusters(py::module_& module) {
    module.def("nearest_centroid", &nearest_centroid, py::arg("points"), py::arg("centroids"),
               py::arg("labels"), py::arg("distances"), py::arg("num_threads") = 0,
               "labels (N,) and squared distances (N, 1) of the nearest of centroids (K, D).");
    module.def("kmeans", &kmeans, py::arg("points"), py::arg("centroids"), py::arg("labels"),
               py::arg("max_iterations"), py::arg("tolerance"), py::arg("spherical") = false,
               py::arg("num_threads") = 0,
               "Lloyd's algorithm from the centroids given, which are replaced; returns inertia "
               "and iterations.");
    module.def("kmeans_plus_plus", &kmeans_plus_plus, py::arg("points"), py::arg("seed"),
               py::arg("indices"), py::arg("num_threads") = 0,
               "Greedy k-means++: fills indices (K,) with distinct points.");
    module.def("farthest_points", &farthest_points, py::arg("points"), py::arg("start"),
               py::arg("indices"), py::arg("distances"), py::arg("num_threads") = 0,
               "Greedy k-centre: fills indices (S,) and each pick's distance (S, 1) to those "
               "before.");
}

}  // namespace ipse::bindings
