// ipse._core: the contrastive losses' passes over all pairs of rows and columns.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/checked_size.h"
#include "base/isa_table.h"
#include "bindings/arrays.h"
#include "bindings/register.h"

namespace ipse::bindings {
namespace {

using Arrays = std::vector<py::array>;
using OptionalArrays = std::vector<std::optional<py::array>>;
using Doubles = py::array_t<double, py::array::c_style>;

Stack input_stack(const char* name, const char* argument, const Arrays& arrays) {
    if (arrays.size() > 2) {
        value_error(name, std::string(argument) + " must be at most 2 arrays, got " +
                              std::to_string(arrays.size()));
    }
    Stack stack;
    stack.parts = static_cast<int>(arrays.size());
    for (std::size_t i = 0; i < arrays.size(); ++i) {
        stack.part[i] = input_matrix(name, argument, arrays[i]);
        if (stack.part[i].cols != stack.part[0].cols) {
            value_error(name, std::string(argument) + " must have one width, got " +
                                  shape_text(stack.part[0]) + " and " + shape_text(stack.part[i]));
        }
        if (stack.part[i].dtype != stack.part[0].dtype) {
            throw py::type_error(std::string(name) + ": " + argument +
                                 " must have one dtype, got " + dtype_name(stack.part[0].dtype) +
                                 " and " + dtype_name(stack.part[i].dtype));
        }
    }
    return stack;
}

// What the kernels derive from the sizes (both sides padded, each slot's copy of a gradient)
// must fit 63 bits; expanded views can claim any size.
void check_sizes(const char* name, std::int64_t rows, std::int64_t cols, int threads) {
    try {
        checked_multiply(checked_multiply(checked_add(rows, 512), checked_add(cols, 512)),
                         checked_multiply(std::max(threads, 16), 64));
    } catch (const std::length_error&) {
        value_error(name, "rows of shape (" + std::to_string(rows) + ", " + std::to_string(cols) +
                              ") overflow 64-bit sizes");
    }
}

void check_sides(const char* name, const Stack& rows, const Stack& columns, int threads) {
    if (rows.parts == 0 || rows.rows() < 1 || rows.cols() < 1) {
        value_error(name, "rows must have at least one row and one column");
    }
    check_sizes(name, rows.rows(), rows.cols(), threads);
    if (columns.parts == 0) {
        return;
    }
    if (columns.rows() < 1) {
        value_error(name, "columns must have at least one row, got " + shape_text(columns.part[0]));
    }
    check_sizes(name, columns.rows(), columns.cols(), threads);
    if (rows.cols() != columns.cols()) {
        value_error(name, "rows and columns must have one width, got " + shape_text(rows.part[0]) +
                              " and " + shape_text(columns.part[0]));
    }
    if (rows.part[0].dtype != columns.part[0].dtype) {
        throw py::type_error(std::string(name) + ": rows and columns must have one dtype, got " +
                             dtype_name(rows.part[0].dtype) + " and " +
                             dtype_name(columns.part[0].dtype));
    }
}

const double* vector_of(const char* name, const char* argument, const Doubles& values,
                        std::int64_t count) {
    if (values.ndim() != 1 || values.shape(0) != count) {
        value_error(name, std::string(argument) + " must be float64 of length " +
                              std::to_string(count) + ", got " + std::to_string(values.size()) +
                              " values");
    }
    return values.data();
}

double* sums_of(const char* name, const char* argument, const py::array& sums, std::int64_t count,
                bool writable) {
    const StridedMatrix matrix =
        writable ? output_matrix(name, argument, sums, true) : input_matrix(name, argument, sums);
    const bool plain = matrix.col_stride == 1 && (matrix.row_stride == sum_columns || count == 1);
    if (matrix.dtype != DType::float64 || matrix.rows != count || matrix.cols != sum_columns ||
        !plain) {
        value_error(name, std::string(argument) +
                              " must be a C-contiguous float64 array of shape (" +
                              std::to_string(count) + ", 3), got " + dtype_name(matrix.dtype) +
                              " of shape " + shape_text(matrix));
    }
    return static_cast<double*>(matrix.data);
}

Stack grad_stack(const char* name, const char* argument, const OptionalArrays& arrays,
                 const Stack& like) {
    if (arrays.size() != static_cast<std::size_t>(like.parts)) {
        value_error(name, std::string(argument) + " must be " + std::to_string(like.parts) +
                              " arrays or None, got " + std::to_string(arrays.size()));
    }
    Stack stack;
    stack.parts = like.parts;
    for (std::size_t i = 0; i < arrays.size(); ++i) {
        if (!arrays[i]) {
            continue;
        }
        const StridedMatrix out = output_matrix(name, argument, *arrays[i], false);
        if (out.rows != like.part[i].rows || out.cols != like.part[i].cols ||
            out.dtype != like.part[i].dtype) {
            value_error(name, std::string(argument) + " must be " + dtype_name(like.part[i].dtype) +
                                  " of shape " + shape_text(like.part[i]) + ", got " +
                                  dtype_name(out.dtype) + " of shape " + shape_text(out));
        }
        stack.part[i] = out;
    }
    return stack;
}

// Gradients are written while inputs are still read: none may share memory.
void require_grads_apart(const char* name, const Stack& rows, const Stack& columns,
                         const Stack& grad_rows, const Stack& grad_columns) {
    std::vector<StridedMatrix> outputs;
    for (const Stack& grads : {grad_rows, grad_columns}) {
        for (int i = 0; i < grads.parts; ++i) {
            if (grads.part[i].data == nullptr) {
                continue;
            }
            for (const Stack& inputs : {rows, columns}) {
                for (int k = 0; k < inputs.parts; ++k) {
                    require_apart(name, "a gradient", grads.part[i], "an input", inputs.part[k]);
                }
            }
            for (const StridedMatrix& other : outputs) {
                require_apart(name, "a gradient", grads.part[i], "another", other);
            }
            outputs.push_back(grads.part[i]);
        }
    }
}

Exclude parse_exclude(const char* name, const std::string& exclude) {
    if (exclude == "none") {
        return Exclude::none;
    }
    if (exclude == "self") {
        return Exclude::self;
    }
    if (exclude == "sample") {
        return Exclude::sample;
    }
    value_error(name, "exclude must be 'none', 'self' or 'sample', got '" + exclude + "'");
}

SoftmaxRequest softmax_request(const char* name, const Arrays& rows, const Arrays& columns,
                               const Doubles& scale, bool normalize, const std::string& exclude,
                               std::int64_t samples, int num_threads) {
    SoftmaxRequest request;
    request.rows = input_stack(name, "rows", rows);
    request.columns = input_stack(name, "columns", columns);
    request.threads = thread_count(name, num_threads);
    check_sides(name, request.rows, request.columns, request.threads);
    request.normalize = normalize;
    request.exclude = parse_exclude(name, exclude);
    request.samples = samples;
    if (samples < 0 || (samples == 0 && request.exclude == Exclude::sample)) {
        value_error(name,
                    "samples must be at least 1 with exclude='sample' and never negative, "
                    "got " +
                        std::to_string(samples));
    }
    if (request.columns.parts == 0 && request.exclude == Exclude::none) {
        value_error(name, "rows against themselves need exclude='self' or 'sample'");
    }
    const bool one = scale.ndim() == 1 && scale.shape(0) == 1;
    request.scale = vector_of(name, "scale", scale, one ? 1 : request.rows.rows());
    request.scale_per_row = !one;
    return request;
}

void attach_expected(const char* name, SoftmaxRequest& request, const py::array& expected) {
    if (request.columns.parts == 0 || request.column_sums != nullptr) {
        value_error(name, "expected needs columns and goes one way only");
    }
    request.expected = output_matrix(name, "expected", expected, true);
    const DType compute =
        request.rows.part[0].dtype == DType::float64 ? DType::float64 : DType::float32;
    if (request.expected.rows != request.rows.rows() ||
        request.expected.cols != request.rows.cols() || request.expected.dtype != compute) {
        value_error(name, std::string("expected must be ") + dtype_name(compute) +
                              " with the shape of the rows, got " +
                              dtype_name(request.expected.dtype) + " of shape " +
                              shape_text(request.expected));
    }
    for (const Stack& inputs : {request.rows, request.columns}) {
        for (int i = 0; i < inputs.parts; ++i) {
            require_apart(name, "expected", request.expected, "an input", inputs.part[i]);
        }
    }
}

void softmax_forward(const Arrays& rows, const Arrays& columns, const Doubles& scale,
                     bool normalize, const std::string& exclude, std::int64_t samples, bool mean,
                     const py::array& row_sums, const std::optional<py::array>& column_sums,
                     const std::optional<py::array>& expected, int num_threads) {
    constexpr const char* name = "softmax_forward";
    SoftmaxRequest request =
        softmax_request(name, rows, columns, scale, normalize, exclude, samples, num_threads);
    request.mean = mean;
    request.row_sums = sums_of(name, "row_sums", row_sums, request.rows.rows(), true);
    if (column_sums) {
        if (request.columns.parts == 0 || request.scale_per_row) {
            value_error(name, "column_sums need columns and one scale");
        }
        request.column_sums =
            sums_of(name, "column_sums", *column_sums, request.columns.rows(), true);
    }
    if (expected) {
        attach_expected(name, request, *expected);
    }
    const py::gil_scoped_release release;
    isa_table().similarity->softmax_forward(request);
}

void softmax_backward(const Arrays& rows, const Arrays& columns, const Doubles& scale,
                      bool normalize, const std::string& exclude, std::int64_t samples,
                      const py::array& row_sums, const std::optional<py::array>& column_sums,
                      const Doubles& row_weights, const Doubles& positive_weights,
                      const std::optional<Doubles>& column_weights, const OptionalArrays& grad_rows,
                      const OptionalArrays& grad_columns, int num_threads) {
    constexpr const char* name = "softmax_backward";
    SoftmaxGradientRequest request;
    request.forward =
        softmax_request(name, rows, columns, scale, normalize, exclude, samples, num_threads);
    SoftmaxRequest& forward = request.forward;
    forward.row_sums = sums_of(name, "row_sums", row_sums, forward.rows.rows(), false);
    request.row_weights = vector_of(name, "row_weights", row_weights, forward.rows.rows());
    request.positive_weights =
        vector_of(name, "positive_weights", positive_weights, forward.rows.rows());
    if (column_sums.has_value() != column_weights.has_value()) {
        value_error(name, "column_sums and column_weights must come together");
    }
    if (column_sums) {
        if (forward.columns.parts == 0 || forward.scale_per_row) {
            value_error(name, "column_sums need columns and one scale");
        }
        forward.column_sums =
            sums_of(name, "column_sums", *column_sums, forward.columns.rows(), false);
        request.column_weights =
            vector_of(name, "column_weights", *column_weights, forward.columns.rows());
    }
    request.grad_rows = grad_stack(name, "grad_rows", grad_rows, forward.rows);
    request.grad_columns = grad_stack(name, "grad_columns", grad_columns, forward.columns);
    require_grads_apart(name, forward.rows, forward.columns, request.grad_rows,
                        request.grad_columns);
    const py::gil_scoped_release release;
    isa_table().similarity->softmax_backward(request);
}

SigmoidRequest sigmoid_request(const char* name, const py::array& rows, const py::array& columns,
                               double scale, double bias, std::int64_t samples, int num_threads) {
    SigmoidRequest request;
    request.rows = input_stack(name, "rows", {rows});
    request.columns = input_stack(name, "columns", {columns});
    request.threads = thread_count(name, num_threads);
    check_sides(name, request.rows, request.columns, request.threads);
    if (samples < 0) {
        value_error(name, "samples must not be negative, got " + std::to_string(samples));
    }
    request.scale = scale;
    request.bias = bias;
    request.samples = samples;
    return request;
}

double sigmoid_forward(const py::array& rows, const py::array& columns, double scale, double bias,
                       std::int64_t samples, int num_threads) {
    const SigmoidRequest request =
        sigmoid_request("sigmoid_forward", rows, columns, scale, bias, samples, num_threads);
    const py::gil_scoped_release release;
    return isa_table().similarity->sigmoid_forward(request);
}

py::tuple sigmoid_backward(const py::array& rows, const py::array& columns, double scale,
                           double bias, std::int64_t samples, double grad,
                           const std::optional<py::array>& grad_rows,
                           const std::optional<py::array>& grad_columns, int num_threads) {
    constexpr const char* name = "sigmoid_backward";
    SigmoidGradientRequest request;
    request.forward = sigmoid_request(name, rows, columns, scale, bias, samples, num_threads);
    request.grad = grad;
    request.grad_rows = grad_stack(name, "grad_rows", {grad_rows}, request.forward.rows);
    request.grad_columns =
        grad_stack(name, "grad_columns", {grad_columns}, request.forward.columns);
    require_grads_apart(name, request.forward.rows, request.forward.columns, request.grad_rows,
                        request.grad_columns);
    double by_scale_and_bias[2] = {0.0, 0.0};
    request.grad_scale_bias = by_scale_and_bias;
    {
        const py::gil_scoped_release release;
        isa_table().similarity->sigmoid_backward(request);
    }
    return py::make_tuple(by_scale_and_bias[0], by_scale_and_bias[1]);
}

}  // namespace

void register_similarity(py::module_& module) {
    module.def("softmax_forward", &softmax_forward, py::arg("rows"), py::arg("columns"),
               py::arg("scale"), py::arg("normalize"), py::arg("exclude"), py::arg("samples"),
               py::arg("mean"), py::arg("row_sums"), py::arg("column_sums") = py::none(),
               py::arg("expected") = py::none(), py::arg("num_threads") = 0,
               "Per row (and column): logsumexp, positives and mean, into (M, 3) arrays.");
    module.def("softmax_backward", &softmax_backward, py::arg("rows"), py::arg("columns"),
               py::arg("scale"), py::arg("normalize"), py::arg("exclude"), py::arg("samples"),
               py::arg("row_sums"), py::arg("column_sums"), py::arg("row_weights"),
               py::arg("positive_weights"), py::arg("column_weights"), py::arg("grad_rows"),
               py::arg("grad_columns"), py::arg("num_threads") = 0,
               "The weighted sums' gradients, into the arrays given.");
    module.def("sigmoid_forward", &sigmoid_forward, py::arg("rows"), py::arg("columns"),
               py::arg("scale"), py::arg("bias"), py::arg("samples"), py::arg("num_threads") = 0,
               "The sum over all pairs of softplus(-z logit).");
    module.def("sigmoid_backward", &sigmoid_backward, py::arg("rows"), py::arg("columns"),
               py::arg("scale"), py::arg("bias"), py::arg("samples"), py::arg("grad"),
               py::arg("grad_rows") = py::none(), py::arg("grad_columns") = py::none(),
               py::arg("num_threads") = 0,
               "grad times the gradient, into the arrays given; returns those by scale and bias.");
}

}  // namespace ipse::bindings
