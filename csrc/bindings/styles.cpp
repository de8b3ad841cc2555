// ipse._core: band-pass filters, band energies and the exchange of amplitudes.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "base/checked_size.h"
#include "base/isa_table.h"
#include "bindings/arrays.h"
#include "bindings/register.h"

namespace ipse::bindings {
namespace {

using OptionalArray = std::optional<py::array>;

void require_shape(const char* name, const char* argument, const StridedMatrix& matrix,
                   std::int64_t rows, std::int64_t cols) {
    if (matrix.rows != rows || matrix.cols != cols) {
        value_error(name, std::string(argument) + " must have shape (" + std::to_string(rows) +
                              ", " + std::to_string(cols) + "), got " + shape_text(matrix));
    }
}

void require_dtype(const char* name, const char* argument, const StridedMatrix& matrix,
                   DType dtype) {
    if (matrix.dtype != dtype) {
        throw py::type_error(std::string(name) + ": " + argument + " must be " + dtype_name(dtype) +
                             ", got " + dtype_name(matrix.dtype));
    }
}

// Everything that the kernels derive from the sizes fits in 63 bits.
void check_sizes(const char* name, const WindowRequest& window) {
    try {
        const std::int64_t height = checked_multiply(checked_add(window.height, 64), 8);
        const std::int64_t width = checked_multiply(checked_add(window.planes.cols, 64), 8);
        const std::int64_t scratch = checked_multiply(checked_multiply(height, width), 64);
        checked_multiply(scratch, window.threads);
        checked_multiply(checked_multiply(height, height), 64);
        checked_multiply(checked_multiply(width, width), 64);
        checked_multiply(checked_multiply(window.count, height), width);
    } catch (const std::length_error&) {
        value_error(name, "planes of shape (" + std::to_string(window.height) + ", " +
                              std::to_string(window.planes.cols) + ") overflow 64-bit sizes");
    }
}

WindowRequest window_of(const char* name, const py::array& planes, std::int64_t height,
                        std::int64_t half_rows, std::int64_t half_columns, int num_threads) {
    WindowRequest window;
    window.planes = input_matrix(name, "planes", planes);
    window.height = height;
    if (height < 1 || window.planes.cols < 1) {
        value_error(name, "planes must have at least one row and one column, got height " +
                              std::to_string(height) + " and width " +
                              std::to_string(window.planes.cols));
    }
    if (window.planes.rows % height != 0) {
        value_error(name, "planes must have a multiple of height rows, got " +
                              std::to_string(window.planes.rows) + " rows and height " +
                              std::to_string(height));
    }
    window.count = window.planes.rows / height;
    window.half_rows = half_rows;
    window.half_columns = half_columns;
    if (half_rows < 0 || half_rows > height / 2 || half_columns < 0 ||
        half_columns > window.planes.cols / 2) {
        value_error(name, "the window must lie within the spectrum, got half sides " +
                              std::to_string(half_rows) + " and " + std::to_string(half_columns) +
                              " for planes of " + std::to_string(height) + " x " +
                              std::to_string(window.planes.cols));
    }
    window.compute = window.planes.dtype == DType::float64 ? DType::float64 : DType::float32;
    window.threads = thread_count(name, num_threads);
    check_sizes(name, window);
    return window;
}

// Like the planes, in C order, apart from them.
StridedMatrix planes_out(const char* name, const char* argument, const WindowRequest& window,
                         const py::array& array) {
    const StridedMatrix out = output_matrix(name, argument, array, true);
    require_shape(name, argument, out, window.planes.rows, window.planes.cols);
    require_dtype(name, argument, out, window.planes.dtype);
    require_apart(name, argument, out, "planes", window.planes);
    return out;
}

std::int64_t amplitude_values(const WindowRequest& window) {
    return std::min(2 * window.half_rows + 1, window.height) * (window.half_columns + 1);
}

// Amplitudes, or a gradient by them: lines of adjacent values in the compute type.
StridedMatrix amplitude_lines(const char* name, const char* argument, const WindowRequest& window,
                              const StridedMatrix& matrix, std::int64_t rows) {
    require_shape(name, argument, matrix, rows, amplitude_values(window));
    require_dtype(name, argument, matrix, window.compute);
    if (matrix.col_stride != 1 && matrix.cols > 1 && matrix.rows > 0) {
        value_error(name, std::string(argument) + " must have adjacent values in its rows");
    }
    return matrix;
}

StridedMatrix mask_of(const char* name, const WindowRequest& window, const py::array& array) {
    const StridedMatrix mask = input_matrix(name, "mask", array);
    require_dtype(name, "mask", mask, DType::float64);
    require_shape(name, "mask", mask, window.half_rows + 1, window.half_columns + 1);
    return mask;
}

void band_filter(const py::array& planes, std::int64_t height, const py::array& mask, double keep,
                 const py::array& out, int num_threads) {
    constexpr const char* name = "band_filter";
    const StridedMatrix shape = input_matrix(name, "mask", mask);
    BandFilter request;
    request.window = window_of(name, planes, height, shape.rows - 1, shape.cols - 1, num_threads);
    request.mask = mask_of(name, request.window, mask);
    request.keep = keep;
    request.out = planes_out(name, "out", request.window, out);
    require_apart(name, "out", request.out, "mask", request.mask);
    const py::gil_scoped_release release;
    isa_table().styles->band_filter(request);
}

void band_energy(const py::array& planes, std::int64_t height, const py::array& mask,
                 const py::array& energy, int num_threads) {
    constexpr const char* name = "band_energy";
    const StridedMatrix shape = input_matrix(name, "mask", mask);
    BandEnergy request;
    request.window = window_of(name, planes, height, shape.rows - 1, shape.cols - 1, num_threads);
    request.mask = mask_of(name, request.window, mask);
    request.energy = output_matrix(name, "energy", energy, true);
    require_shape(name, "energy", request.energy, request.window.count, 1);
    require_dtype(name, "energy", request.energy, request.window.compute);
    require_apart(name, "energy", request.energy, "planes", request.window.planes);
    require_apart(name, "energy", request.energy, "mask", request.mask);
    const py::gil_scoped_release release;
    isa_table().styles->band_energy(request);
}

void style_amplitude_forward(const py::array& planes, std::int64_t height, std::int64_t half_rows,
                             std::int64_t half_columns, const py::array& amplitude,
                             int num_threads) {
    constexpr const char* name = "style_amplitude_forward";
    StyleAmplitude request;
    request.window = window_of(name, planes, height, half_rows, half_columns, num_threads);
    request.amplitude =
        amplitude_lines(name, "amplitude", request.window,
                        output_matrix(name, "amplitude", amplitude, true), request.window.count);
    require_apart(name, "amplitude", request.amplitude, "planes", request.window.planes);
    const py::gil_scoped_release release;
    isa_table().styles->style_amplitude(request);
}

void style_amplitude_backward(const py::array& planes, std::int64_t height, std::int64_t half_rows,
                              std::int64_t half_columns, const py::array& grad,
                              const py::array& grad_planes, int num_threads) {
    constexpr const char* name = "style_amplitude_backward";
    StyleAmplitudeBackward request;
    request.window = window_of(name, planes, height, half_rows, half_columns, num_threads);
    request.grad = amplitude_lines(name, "grad", request.window, input_matrix(name, "grad", grad),
                                   request.window.count);
    request.grad_planes = planes_out(name, "grad_planes", request.window, grad_planes);
    require_apart(name, "grad_planes", request.grad_planes, "grad", request.grad);
    const py::gil_scoped_release release;
    isa_table().styles->style_amplitude_backward(request);
}

double checked_eps(const char* name, double eps) {
    if (!(eps >= 0.0) || !std::isfinite(eps)) {
        value_error(name, "eps must be at least 0 and finite, got " +
                              std::string(py::str(py::float_(eps))));
    }
    return eps;
}

// One line for each plane, or fewer that all images share.
StridedMatrix style_of(const char* name, const WindowRequest& window, const py::array& array) {
    const StridedMatrix style = input_matrix(name, "amplitude", array);
    if (style.rows < 1 || window.count % style.rows != 0) {
        value_error(name, "amplitude must have a number of rows that divides the " +
                              std::to_string(window.count) + " planes, got " +
                              std::to_string(style.rows));
    }
    return amplitude_lines(name, "amplitude", window, style, style.rows);
}

void style_standardize_forward(const py::array& planes, std::int64_t height, std::int64_t half_rows,
                               std::int64_t half_columns, const py::array& amplitude, double eps,
                               const py::array& out, int num_threads) {
    constexpr const char* name = "style_standardize_forward";
    StyleStandardize request;
    request.window = window_of(name, planes, height, half_rows, half_columns, num_threads);
    request.amplitude = style_of(name, request.window, amplitude);
    request.eps = checked_eps(name, eps);
    request.out = planes_out(name, "out", request.window, out);
    require_apart(name, "out", request.out, "amplitude", request.amplitude);
    const py::gil_scoped_release release;
    isa_table().styles->style_standardize(request);
}

void style_standardize_backward(const py::array& grad, const py::array& planes, std::int64_t height,
                                std::int64_t half_rows, std::int64_t half_columns,
                                const py::array& amplitude, double eps,
                                const OptionalArray& grad_planes,
                                const OptionalArray& grad_amplitude, int num_threads) {
    constexpr const char* name = "style_standardize_backward";
    StyleStandardizeBackward request;
    request.window = window_of(name, planes, height, half_rows, half_columns, num_threads);
    const WindowRequest& window = request.window;
    request.grad = input_matrix(name, "grad", grad);
    require_shape(name, "grad", request.grad, window.planes.rows, window.planes.cols);
    require_dtype(name, "grad", request.grad, window.planes.dtype);
    request.amplitude = style_of(name, window, amplitude);
    request.eps = checked_eps(name, eps);
    if (grad_planes) {
        request.grad_planes = planes_out(name, "grad_planes", window, *grad_planes);
        require_apart(name, "grad_planes", request.grad_planes, "grad", request.grad);
        require_apart(name, "grad_planes", request.grad_planes, "amplitude", request.amplitude);
    }
    if (grad_amplitude) {
        request.grad_amplitude = amplitude_lines(
            name, "grad_amplitude", window,
            output_matrix(name, "grad_amplitude", *grad_amplitude, true), window.count);
        const StridedMatrix& to = request.grad_amplitude;
        require_apart(name, "grad_amplitude", to, "grad", request.grad);
        require_apart(name, "grad_amplitude", to, "planes", window.planes);
        require_apart(name, "grad_amplitude", to, "amplitude", request.amplitude);
        if (grad_planes) {
            require_apart(name, "grad_amplitude", to, "grad_planes", request.grad_planes);
        }
    }
    const py::gil_scoped_release release;
    isa_table().styles->style_standardize_backward(request);
}

}  // namespace

void register_styles(py::module_& module) {
    module.def("band_filter", &band_filter, py::arg("planes"), py::arg("height"), py::arg("mask"),
               py::arg("keep"), py::arg("out"), py::arg("num_threads") = 0,
               "out = keep * planes + planes with each frequency (k, l) times mask[|k|, |l|] and\n"
               "none beyond the mask. planes and out are (P * height, W), mask is float64.");
    module.def("band_energy", &band_energy, py::arg("planes"), py::arg("height"), py::arg("mask"),
               py::arg("energy"), py::arg("num_threads") = 0,
               "Fills energy (P, 1) with sum of mask |F|^2 / (height W) for each plane.");
    module.def("style_amplitude_forward", &style_amplitude_forward, py::arg("planes"),
               py::arg("height"), py::arg("half_rows"), py::arg("half_columns"),
               py::arg("amplitude"), py::arg("num_threads") = 0,
               "Fills amplitude (P, R * (half_columns + 1)) with |F| of the window.");
    module.def("style_amplitude_backward", &style_amplitude_backward, py::arg("planes"),
               py::arg("height"), py::arg("half_rows"), py::arg("half_columns"), py::arg("grad"),
               py::arg("grad_planes"), py::arg("num_threads") = 0,
               "grad by the amplitudes times their gradient, into grad_planes.");
    module.def("style_standardize_forward", &style_standardize_forward, py::arg("planes"),
               py::arg("height"), py::arg("half_rows"), py::arg("half_columns"),
               py::arg("amplitude"), py::arg("eps"), py::arg("out"), py::arg("num_threads") = 0,
               "out = planes with the amplitudes of row p % len(amplitude) inside the window.");
    module.def("style_standardize_backward", &style_standardize_backward, py::arg("grad"),
               py::arg("planes"), py::arg("height"), py::arg("half_rows"), py::arg("half_columns"),
               py::arg("amplitude"), py::arg("eps"), py::arg("grad_planes") = py::none(),
               py::arg("grad_amplitude") = py::none(), py::arg("num_threads") = 0,
               "grad times the gradient by the planes and, a row for each plane, the amplitudes.");
}

}  // namespace ipse::bindings
