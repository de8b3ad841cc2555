// ipse._core: the most similar columns of every row, and products with chosen rows.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>

#include "base/checked_size.h"
#include "base/isa_table.h"
#include "bindings/arrays.h"
#include "bindings/integers.h"
#include "bindings/register.h"

namespace ipse::bindings {
namespace {

using OptionalArray = std::optional<py::array>;

DType compute_dtype(DType dtype) {
    return dtype == DType::float64 ? DType::float64 : DType::float32;
}

void require_dtype(const char* name, const char* argument, const StridedMatrix& matrix,
                   DType dtype) {
    if (matrix.dtype != dtype) {
        throw py::type_error(std::string(name) + ": " + argument + " must be " + dtype_name(dtype) +
                             ", got " + dtype_name(matrix.dtype));
    }
}

void require_shape(const char* name, const char* argument, const StridedMatrix& matrix,
                   std::int64_t rows, std::int64_t cols) {
    if (matrix.rows != rows || matrix.cols != cols) {
        value_error(name, std::string(argument) + " must have shape (" + std::to_string(rows) +
                              ", " + std::to_string(cols) + "), got " + shape_text(matrix));
    }
}

void require_pair(const char* name, const StridedMatrix& x, const StridedMatrix& y) {
    if (x.cols != y.cols) {
        value_error(name, "x and y must have the same number of features, got " + shape_text(x) +
                              " and " + shape_text(y));
    }
    if (x.dtype != y.dtype) {
        throw py::type_error(std::string(name) + ": x and y must have the same dtype, got " +
                             dtype_name(x.dtype) + " and " + dtype_name(y.dtype));
    }
}

// Everything the kernels derive from the sizes must fit 63 bits; expanded views can claim any.
void check_sizes(const char* name, std::int64_t rows, std::int64_t columns, std::int64_t depth,
                 std::int64_t k, int threads) {
    try {
        const std::int64_t depths = checked_add(depth, 512);
        checked_multiply(checked_multiply(checked_add(columns, 512), depths), 128);
        checked_multiply(checked_multiply(checked_add(rows, 512), depths), 128);
        checked_multiply(checked_multiply(checked_add(rows, 512), checked_add(k, 512)),
                         checked_multiply(threads, 1024));
        checked_multiply(checked_multiply(depths, threads), 512 * 16);
    } catch (const std::length_error&) {
        value_error(name, "matrices of " + std::to_string(rows) + " and " +
                              std::to_string(columns) + " rows and " + std::to_string(depth) +
                              " features overflow 64-bit sizes");
    }
}

Metric parse_metric(const char* name, const std::string& metric) {
    if (metric == "dot") {
        return Metric::dot;
    }
    if (metric == "cosine") {
        return Metric::cosine;
    }
    if (metric == "l2") {
        return Metric::l2;
    }
    value_error(name, "metric must be 'cosine', 'dot' or 'l2', got '" + metric + "'");
}

void topk_similarity(const py::array& x, const py::array& y, const py::array& values,
                     const py::array& indices, const std::string& metric,
                     const OptionalArray& row_ids, const OptionalArray& column_ids,
                     const OptionalArray& row_labels, const OptionalArray& column_labels,
                     int num_threads) {
    constexpr const char* name = "topk_similarity";
    TopkRequest request;
    request.x = input_matrix(name, "x", x);
    request.y = input_matrix(name, "y", y);
    request.values = output_matrix(name, "values", values, true);
    request.metric = parse_metric(name, metric);
    request.threads = thread_count(name, num_threads);
    request.k = request.values.cols;
    require_pair(name, request.x, request.y);
    require_shape(name, "values", request.values, request.x.rows, request.k);
    require_dtype(name, "values", request.values, compute_dtype(request.x.dtype));
    if (request.k < 1 || request.k > request.y.rows) {
        value_error(name, "k must be from 1 to the number of columns, " +
                              std::to_string(request.y.rows) + ", got " +
                              std::to_string(request.k));
    }
    if (request.y.rows > std::numeric_limits<std::int32_t>::max() - 1024) {
        value_error(
            name, "y must have fewer than 2^31 - 1024 rows, got " + std::to_string(request.y.rows));
    }
    check_sizes(name, request.x.rows, request.y.rows, request.x.cols, request.k, request.threads);
    request.indices = int64_matrix(name, "indices", indices, request.x.rows, request.k, true);
    if (row_ids.has_value() != column_ids.has_value()) {
        value_error(name, "row_ids and column_ids must be given together");
    }
    if (row_labels.has_value() != column_labels.has_value()) {
        value_error(name, "row_labels and column_labels must be given together");
    }
    request.filter.row_ids = int64_vector(name, "row_ids", row_ids, request.x.rows);
    request.filter.column_ids = int64_vector(name, "column_ids", column_ids, request.y.rows);
    request.filter.row_labels = int64_vector(name, "row_labels", row_labels, request.x.rows);
    request.filter.column_labels =
        int64_vector(name, "column_labels", column_labels, request.y.rows);
    require_apart(name, "values", request.values, "x", request.x);
    require_apart(name, "values", request.values, "y", request.y);
    if (request.x.rows == 0) {
        return;
    }
    const py::gil_scoped_release release;
    isa_table().neighbours->topk_similarity(request);
}

// `sources`: how many rows the indices may name.
void attach_indices(const char* name, GatheredRequest& request, const py::array& indices,
                    std::int64_t rows, std::int64_t k, std::int64_t sources) {
    request.indices = int64_matrix(name, "indices", indices, rows, k, false);
    request.k = k;
    for (std::int64_t place = 0; place < rows * k; ++place) {
        if (request.indices[place] < -1 || request.indices[place] >= sources) {
            value_error(name, "indices must be from -1 to " + std::to_string(sources - 1) +
                                  ", got " + std::to_string(request.indices[place]));
        }
    }
}

void run_gathered(const char* name, void (*kernel)(const GatheredRequest&),
                  GatheredRequest& request, int num_threads) {
    request.threads = thread_count(name, num_threads);
    for (const auto& [argument, matrix] : {std::pair{"x", request.x}, std::pair{"y", request.y},
                                           std::pair{"weights", request.weights}}) {
        if (matrix.data != nullptr) {
            require_apart(name, "out", request.out, argument, matrix);
        }
    }
    const py::gil_scoped_release release;
    kernel(request);
}

void gathered_dot(const py::array& x, const py::array& y, const py::array& indices,
                  const py::array& out, int num_threads) {
    constexpr const char* name = "gathered_dot";
    GatheredRequest request;
    request.x = input_matrix(name, "x", x);
    request.y = input_matrix(name, "y", y);
    request.out = output_matrix(name, "out", out, true);
    require_pair(name, request.x, request.y);
    require_shape(name, "out", request.out, request.x.rows, request.out.cols);
    require_dtype(name, "out", request.out, compute_dtype(request.x.dtype));
    check_sizes(name, request.x.rows, request.y.rows, request.x.cols, request.out.cols, 4096);
    attach_indices(name, request, indices, request.x.rows, request.out.cols, request.y.rows);
    run_gathered(name, isa_table().neighbours->gathered_dot, request, num_threads);
}

void gathered_sum(const py::array& weights, const py::array& indices, const py::array& y,
                  const py::array& out, int num_threads) {
    constexpr const char* name = "gathered_sum";
    GatheredRequest request;
    request.weights = input_matrix(name, "weights", weights);
    request.y = input_matrix(name, "y", y);
    request.out = output_matrix(name, "out", out, true);
    require_dtype(name, "weights", request.weights, compute_dtype(request.y.dtype));
    require_dtype(name, "out", request.out, request.y.dtype);
    require_shape(name, "out", request.out, request.weights.rows, request.y.cols);
    check_sizes(name, request.weights.rows, request.y.rows, request.y.cols, request.weights.cols,
                4096);
    attach_indices(name, request, indices, request.weights.rows, request.weights.cols,
                   request.y.rows);
    run_gathered(name, isa_table().neighbours->gathered_sum, request, num_threads);
}

void scattered_sum(const py::array& weights, const py::array& indices, const py::array& x,
                   const py::array& out, int num_threads) {
    constexpr const char* name = "scattered_sum";
    GatheredRequest request;
    request.weights = input_matrix(name, "weights", weights);
    request.x = input_matrix(name, "x", x);
    request.out = output_matrix(name, "out", out, true);
    require_dtype(name, "weights", request.weights, compute_dtype(request.x.dtype));
    require_dtype(name, "out", request.out, request.x.dtype);
    require_shape(name, "weights", request.weights, request.x.rows, request.weights.cols);
    require_shape(name, "out", request.out, request.out.rows, request.x.cols);
    check_sizes(name, request.x.rows, request.out.rows, request.x.cols, request.weights.cols, 4096);
    attach_indices(name, request, indices, request.x.rows, request.weights.cols, request.out.rows);
    run_gathered(name, isa_table().neighbours->scattered_sum, request, num_threads);
}

}  // namespace

void register_neighbours(py::module_& module) {
    module.def("topk_similarity", &topk_similarity, py::arg("x"), py::arg("y"), py::arg("values"),
               py::arg("indices"), py::arg("metric"), py::arg("row_ids") = py::none(),
               py::arg("column_ids") = py::none(), py::arg("row_labels") = py::none(),
               py::arg("column_labels") = py::none(), py::arg("num_threads") = 0,
               "The k best of y (K, D) for each row of x (M, D), into values and indices (M, k).");
    module.def("gathered_dot", &gathered_dot, py::arg("x"), py::arg("y"), py::arg("indices"),
               py::arg("out"), py::arg("num_threads") = 0,
               "out (M, k) = x_i . y[indices_ij]; 0 where the index is -1.");
    module.def("gathered_sum", &gathered_sum, py::arg("weights"), py::arg("indices"), py::arg("y"),
               py::arg("out"), py::arg("num_threads") = 0,
               "out (M, D) = sum over j of weights_ij y[indices_ij].");
    module.def("scattered_sum", &scattered_sum, py::arg("weights"), py::arg("indices"),
               py::arg("x"), py::arg("out"), py::arg("num_threads") = 0,
               "out (K, D): row c is the sum of weights_ij x_i over indices_ij = c.");
}

}  // namespace ipse::bindings
