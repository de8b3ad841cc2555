// ipse._core: Barlow Twins and VICReg, value and gradient.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "base/checked_size.h"
#include "base/isa_table.h"
#include "bindings/arrays.h"
#include "bindings/register.h"

namespace ipse::bindings {
namespace {

using OptionalArray = std::optional<py::array>;

Side parse_side(const char* name, const std::string& side) {
    if (side == "samples") {
        return Side::samples;
    }
    if (side == "features") {
        return Side::features;
    }
    value_error(name, "side must be 'samples' or 'features', got '" + side + "'");
}

// Everything the kernels derive from N and D (a padded square of the larger, a few
// times, in double) must fit 63 bits; expanded views can claim any size.
void check_sizes(const char* name, std::int64_t samples, std::int64_t features, Side side,
                 int threads) {
    const std::int64_t n = checked_add(samples, 64);
    const std::int64_t d = checked_add(features, 64);
    const std::int64_t square = side == Side::samples ? n : d;
    try {
        checked_multiply(checked_multiply(n, d), 128);
        checked_multiply(checked_multiply(square, square), 128);
        checked_multiply(checked_multiply(std::max<std::int64_t>(n, 512), 512),
                         checked_multiply(threads, 128));
    } catch (const std::length_error&) {
        value_error(name, "views of shape (" + std::to_string(samples) + ", " +
                              std::to_string(features) + ") overflow 64-bit sizes");
    }
}

template <class Parameters>
ForwardRequest<Parameters> common(const char* name, const py::array& view1, const py::array& view2,
                                  const std::string& side, const Parameters& parameters,
                                  int num_threads) {
    ForwardRequest<Parameters> request;
    request.view[0] = input_matrix(name, "view1", view1);
    request.view[1] = input_matrix(name, "view2", view2);
    request.side = parse_side(name, side);
    request.parameters = parameters;
    request.threads = thread_count(name, num_threads);
    const StridedMatrix& first = request.view[0];
    const StridedMatrix& second = request.view[1];
    if (first.rows != second.rows || first.cols != second.cols) {
        value_error(name, "view1 and view2 must have the same shape, got " + shape_text(first) +
                              " and " + shape_text(second));
    }
    if (first.dtype != second.dtype) {
        throw py::type_error(std::string(name) +
                             ": view1 and view2 must have the same dtype, got " +
                             dtype_name(first.dtype) + " and " + dtype_name(second.dtype));
    }
    if (first.rows < 2) {
        value_error(name,
                    "the batch must have at least 2 samples, got " + std::to_string(first.rows));
    }
    if (first.cols < 1) {
        value_error(name, "the views must have at least 1 feature, got 0");
    }
    check_sizes(name, first.rows, first.cols, request.side, request.threads);
    return request;
}

// The matrix that backward needs: see cross_correlation/triangle.h.
template <class Parameters>
void attach_moments(const char* name, ForwardRequest<Parameters>& request,
                    const py::array& moments) {
    request.moments = output_matrix(name, "moments", moments, true);
    const bool samples_side = request.side == Side::samples;
    const std::int64_t rows = samples_side ? request.view[0].rows : request.view[0].cols;
    const std::int64_t cols = samples_side ? rows + 1 : rows;
    if (request.moments.rows != rows || request.moments.cols != cols) {
        value_error(name, "moments must have shape (" + std::to_string(rows) + ", " +
                              std::to_string(cols) + "), got " + shape_text(request.moments));
    }
    require_apart(name, "moments", request.moments, "view1", request.view[0]);
    require_apart(name, "moments", request.moments, "view2", request.view[1]);
    const DType compute = request.view[0].dtype == DType::float64 ? DType::float64 : DType::float32;
    if (request.moments.dtype != compute) {
        throw py::type_error(std::string(name) + ": moments must be " + dtype_name(compute) +
                             ", got " + dtype_name(request.moments.dtype));
    }
}

template <class Parameters>
double run_forward(const char* name, double (*kernel)(const ForwardRequest<Parameters>&),
                   ForwardRequest<Parameters> request, const OptionalArray& moments) {
    if (moments) {
        attach_moments(name, request, *moments);
    }
    const py::gil_scoped_release release;
    return kernel(request);
}

template <class Parameters>
void run_backward(const char* name, void (*kernel)(const BackwardRequest<Parameters>&),
                  const ForwardRequest<Parameters>& forward, const py::array& moments, double grad,
                  const std::array<OptionalArray, 2>& grads) {
    BackwardRequest<Parameters> request;
    request.forward = forward;
    request.grad = grad;
    attach_moments(name, request.forward, moments);
    constexpr std::array<const char*, 2> names{"grad_view1", "grad_view2"};
    for (std::size_t i = 0; i < 2; ++i) {
        if (!grads[i]) {
            continue;
        }
        request.grad_view[i] = output_matrix(name, names[i], *grads[i], true);
        const StridedMatrix& out = request.grad_view[i];
        if (out.rows != forward.view[0].rows || out.cols != forward.view[0].cols ||
            out.dtype != forward.view[0].dtype) {
            value_error(name, std::string(names[i]) + " must be " +
                                  dtype_name(forward.view[0].dtype) + " of shape " +
                                  shape_text(forward.view[0]) + ", got " + dtype_name(out.dtype) +
                                  " of shape " + shape_text(out));
        }
    }
    for (std::size_t i = 0; i < 2; ++i) {
        if (!grads[i]) {
            continue;
        }
        const StridedMatrix& out = request.grad_view[i];
        require_apart(name, names[i], out, "view1", forward.view[0]);
        require_apart(name, names[i], out, "view2", forward.view[1]);
        require_apart(name, names[i], out, "moments", request.forward.moments);
        if (grads[1 - i]) {
            require_apart(name, names[i], out, names[1 - i], request.grad_view[1 - i]);
        }
    }
    const py::gil_scoped_release release;
    kernel(request);
}

double barlow_twins_forward(const py::array& view1, const py::array& view2, double lambda_param,
                            double eps, const std::string& side, const OptionalArray& moments,
                            int num_threads) {
    constexpr const char* name = "barlow_twins_forward";
    return run_forward(
        name, isa_table().cross_correlation->barlow_twins_forward,
        common(name, view1, view2, side, BarlowTwinsParameters{lambda_param, eps}, num_threads),
        moments);
}

void barlow_twins_backward(const py::array& view1, const py::array& view2, const py::array& moments,
                           double grad, double lambda_param, double eps, const std::string& side,
                           const OptionalArray& grad_view1, const OptionalArray& grad_view2,
                           int num_threads) {
    constexpr const char* name = "barlow_twins_backward";
    run_backward(
        name, isa_table().cross_correlation->barlow_twins_backward,
        common(name, view1, view2, side, BarlowTwinsParameters{lambda_param, eps}, num_threads),
        moments, grad, {grad_view1, grad_view2});
}

double vicreg_forward(const py::array& view1, const py::array& view2, double lambda_param,
                      double mu_param, double nu_param, double eps, const std::string& side,
                      const OptionalArray& moments, int num_threads) {
    constexpr const char* name = "vicreg_forward";
    return run_forward(name, isa_table().cross_correlation->vicreg_forward,
                       common(name, view1, view2, side,
                              VicregParameters{lambda_param, mu_param, nu_param, eps}, num_threads),
                       moments);
}

void vicreg_backward(const py::array& view1, const py::array& view2, const py::array& moments,
                     double grad, double lambda_param, double mu_param, double nu_param, double eps,
                     const std::string& side, const OptionalArray& grad_view1,
                     const OptionalArray& grad_view2, int num_threads) {
    constexpr const char* name = "vicreg_backward";
    run_backward(name, isa_table().cross_correlation->vicreg_backward,
                 common(name, view1, view2, side,
                        VicregParameters{lambda_param, mu_param, nu_param, eps}, num_threads),
                 moments, grad, {grad_view1, grad_view2});
}

}  // namespace

void register_cross_correlation(py::module_& module) {
    module.def("barlow_twins_forward", &barlow_twins_forward, py::arg("view1"), py::arg("view2"),
               py::arg("lambda_param"), py::arg("eps"), py::arg("side"),
               py::arg("moments") = py::none(), py::arg("num_threads") = 0,
               "The Barlow Twins loss of two (N, D) views; fills moments, (N, N + 1) or (D, D).");
    module.def("barlow_twins_backward", &barlow_twins_backward, py::arg("view1"), py::arg("view2"),
               py::arg("moments"), py::arg("grad"), py::arg("lambda_param"), py::arg("eps"),
               py::arg("side"), py::arg("grad_view1") = py::none(),
               py::arg("grad_view2") = py::none(), py::arg("num_threads") = 0,
               "grad times the gradient, into the (N, D) arrays given.");
    module.def("vicreg_forward", &vicreg_forward, py::arg("view1"), py::arg("view2"),
               py::arg("lambda_param"), py::arg("mu_param"), py::arg("nu_param"), py::arg("eps"),
               py::arg("side"), py::arg("moments") = py::none(), py::arg("num_threads") = 0,
               "The VICReg loss of two (N, D) views; fills moments, (N, N + 1) or (D, D).");
    module.def("vicreg_backward", &vicreg_backward, py::arg("view1"), py::arg("view2"),
               py::arg("moments"), py::arg("grad"), py::arg("lambda_param"), py::arg("mu_param"),
               py::arg("nu_param"), py::arg("eps"), py::arg("side"),
               py::arg("grad_view1") = py::none(), py::arg("grad_view2") = py::none(),
               py::arg("num_threads") = 0,
               "grad times the gradient, into the (N, D) arrays given.");
}

}  // namespace ipse::bindings
