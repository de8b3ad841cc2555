// ipse._core: normalise, activate, gate and pool channels in one pass, and its gradient.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <limits>
#include <optional>
#include <string>

#include "base/checked_size.h"
#include "base/isa_table.h"
#include "bindings/arrays.h"
#include "bindings/register.h"

namespace ipse::bindings {
namespace {

using OptionalArray = std::optional<py::array>;

void require_like(const char* name, const char* argument, const StridedMatrix& matrix,
                  std::int64_t rows, std::int64_t cols, DType dtype) {
    if (matrix.rows != rows || matrix.cols != cols) {
        value_error(name, std::string(argument) + " must have shape (" + std::to_string(rows) +
                              ", " + std::to_string(cols) + "), got " + shape_text(matrix));
    }
    if (matrix.dtype != dtype) {
        throw py::type_error(std::string(name) + ": " + argument + " must be " + dtype_name(dtype) +
                             ", got " + dtype_name(matrix.dtype));
    }
}

// A C-contiguous argument of the given shape and dtype.
StridedMatrix packed(const char* name, const char* argument, const py::array& array,
                     std::int64_t rows, std::int64_t cols, DType dtype, bool writable) {
    const StridedMatrix matrix =
        writable ? output_matrix(name, argument, array, true) : input_matrix(name, argument, array);
    if ((array.flags() & py::array::c_style) == 0) {
        value_error(name, std::string(argument) + " must be C-contiguous");
    }
    require_like(name, argument, matrix, rows, cols, dtype);
    return matrix;
}

const bool* mask_data(const char* name, const py::array& mask, std::int64_t rows,
                      std::int64_t cols) {
    if (mask.dtype().kind() != 'b' || mask.ndim() != 2 || mask.shape(0) != rows ||
        mask.shape(1) != cols || (mask.flags() & py::array::c_style) == 0) {
        value_error(name, "mask must be a C-contiguous bool array of shape (" +
                              std::to_string(rows) + ", " + std::to_string(cols) + ")");
    }
    return static_cast<const bool*>(mask.data());
}

Activation parse_activation(const char* name, const std::string& activation) {
    if (activation == "identity") {
        return Activation::identity;
    }
    if (activation == "relu") {
        return Activation::relu;
    }
    if (activation == "relu6") {
        return Activation::relu6;
    }
    if (activation == "silu") {
        return Activation::silu;
    }
    value_error(
        name, "activation must be 'identity', 'relu', 'relu6' or 'silu', got '" + activation + "'");
}

Pool parse_pool(const char* name, const std::string& pool) {
    if (pool == "avg") {
        return Pool::avg;
    }
    if (pool == "max") {
        return Pool::max;
    }
    value_error(name, "pool must be 'avg' or 'max', got '" + pool + "'");
}

DType compute_dtype(DType dtype) {
    return dtype == DType::float64 ? DType::float64 : DType::float32;
}

ChannelPlanes planes_of(const char* name, const py::array& x, bool channels_last,
                        const py::array& scale, const py::array& shift, const py::array& mask,
                        const std::string& activation, const std::string& pool, int num_threads) {
    ChannelPlanes planes;
    planes.x = input_matrix(name, "x", x);
    if ((x.flags() & py::array::c_style) == 0) {
        value_error(name, "x must be C-contiguous");
    }
    planes.channels = input_matrix(name, "scale", scale).cols;
    if (planes.channels < 1 || planes.x.cols < 1 || planes.x.cols % planes.channels != 0) {
        value_error(name, "x must have a positive multiple of the number of channels, " +
                              std::to_string(planes.channels) + ", as its width, got " +
                              shape_text(planes.x));
    }
    planes.positions = planes.x.cols / planes.channels;
    if (planes.positions > std::numeric_limits<std::int32_t>::max() - 1024) {
        value_error(name, "x must have fewer than 2^31 - 1024 positions, got " +
                              std::to_string(planes.positions));
    }
    const DType compute = compute_dtype(planes.x.dtype);
    planes.scale = packed(name, "scale", scale, 1, planes.channels, compute, false);
    planes.shift = packed(name, "shift", shift, 1, planes.channels, compute, false);
    planes.mask = mask_data(name, mask, planes.x.rows, planes.channels);
    planes.channels_last = channels_last;
    planes.activation = parse_activation(name, activation);
    planes.pool = parse_pool(name, pool);
    planes.threads = thread_count(name, num_threads);
    return planes;
}

void channel_response_forward(const py::array& x, bool channels_last, const py::array& scale,
                              const py::array& shift, const py::array& mask,
                              const std::string& activation, const std::string& pool,
                              const py::array& out, const py::array& response,
                              const py::array& pooled, int num_threads) {
    constexpr const char* name = "channel_response_forward";
    ChannelResponse request;
    request.planes =
        planes_of(name, x, channels_last, scale, shift, mask, activation, pool, num_threads);
    const ChannelPlanes& planes = request.planes;
    const std::int64_t rows = planes.x.rows;
    const DType compute = compute_dtype(planes.x.dtype);
    request.out = packed(name, "out", out, rows, planes.x.cols, planes.x.dtype, true);
    request.response = packed(name, "response", response, rows, planes.channels, compute, true);
    request.pooled = packed(name, "pooled", pooled, rows, planes.channels, compute, true);
    for (const StridedMatrix* from : {&planes.x, &planes.scale, &planes.shift}) {
        require_apart(name, "out", request.out, "an input", *from);
        require_apart(name, "response", request.response, "an input", *from);
        require_apart(name, "pooled", request.pooled, "an input", *from);
    }
    require_apart(name, "out", request.out, "response", request.response);
    require_apart(name, "out", request.out, "pooled", request.pooled);
    require_apart(name, "response", request.response, "pooled", request.pooled);
    const py::gil_scoped_release release;
    isa_table().response->forward(request);
}

void channel_response_backward(const OptionalArray& grad_out, const OptionalArray& grad_response,
                               const OptionalArray& grad_pooled, const py::array& x,
                               bool channels_last, const py::array& scale, const py::array& shift,
                               const py::array& mask, const std::string& activation,
                               const std::string& pool, const py::array& grad_x,
                               const py::array& grad_scale, const py::array& grad_shift,
                               int num_threads) {
    constexpr const char* name = "channel_response_backward";
    ChannelResponseBackward request;
    request.planes =
        planes_of(name, x, channels_last, scale, shift, mask, activation, pool, num_threads);
    const ChannelPlanes& planes = request.planes;
    const std::int64_t rows = planes.x.rows;
    const std::int64_t channels = planes.channels;
    const DType compute = compute_dtype(planes.x.dtype);
    const auto arrived = [&](const char* argument, const OptionalArray& array, std::int64_t cols,
                             DType dtype) {
        return array ? packed(name, argument, *array, rows, cols, dtype, false) : StridedMatrix{};
    };
    request.grad_out = arrived("grad_out", grad_out, planes.x.cols, planes.x.dtype);
    request.grad_response = arrived("grad_response", grad_response, channels, compute);
    request.grad_pooled = arrived("grad_pooled", grad_pooled, channels, compute);
    request.grad_x = packed(name, "grad_x", grad_x, rows, planes.x.cols, planes.x.dtype, true);
    request.grad_scale = packed(name, "grad_scale", grad_scale, 1, channels, compute, true);
    request.grad_shift = packed(name, "grad_shift", grad_shift, 1, channels, compute, true);
    const StridedMatrix* const inputs[] = {
        &planes.x,         &planes.scale,          &planes.shift,
        &request.grad_out, &request.grad_response, &request.grad_pooled};
    for (const StridedMatrix* from : inputs) {
        require_apart(name, "grad_x", request.grad_x, "an input", *from);
        require_apart(name, "grad_scale", request.grad_scale, "an input", *from);
        require_apart(name, "grad_shift", request.grad_shift, "an input", *from);
    }
    require_apart(name, "grad_x", request.grad_x, "grad_scale", request.grad_scale);
    require_apart(name, "grad_x", request.grad_x, "grad_shift", request.grad_shift);
    require_apart(name, "grad_scale", request.grad_scale, "grad_shift", request.grad_shift);
    checked_multiply(checked_multiply(rows, channels), 32);
    const py::gil_scoped_release release;
    isa_table().response->backward(request);
}

}  // namespace

void register_channel_response(py::module_& module) {
    module.def("channel_response_forward", &channel_response_forward, py::arg("x"),
               py::arg("channels_last"), py::arg("scale"), py::arg("shift"), py::arg("mask"),
               py::arg("activation"), py::arg("pool"), py::arg("out"), py::arg("response"),
               py::arg("pooled"), py::arg("num_threads") = 0,
               "out = activation(x * scale + shift) * mask, response (N, C) = its largest\n"
               "magnitude before the mask, pooled (N, C) = its mean or maximum after it. x and\n"
               "out are (N, C * P) in C order; scale and shift are (1, C).");
    module.def("channel_response_backward", &channel_response_backward, py::arg("grad_out"),
               py::arg("grad_response"), py::arg("grad_pooled"), py::arg("x"),
               py::arg("channels_last"), py::arg("scale"), py::arg("shift"), py::arg("mask"),
               py::arg("activation"), py::arg("pool"), py::arg("grad_x"), py::arg("grad_scale"),
               py::arg("grad_shift"), py::arg("num_threads") = 0,
               "The gradients by x, scale and shift; a gradient that is None is zero.");
}

}  // namespace ipse::bindings
