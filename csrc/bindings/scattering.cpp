// ipse._core: the scattering transform.
#include <pybind11/pybind11.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include "base/checked_size.h"
#include "base/isa_table.h"
#include "bindings/arrays.h"
#include "bindings/register.h"

namespace ipse::bindings {
namespace {

// A batch of planes (P, H, W): the first one as a matrix, and the step to the next.
void attach_planes(const char* name, const py::array& planes, ScatteringRequest& request) {
    if (planes.ndim() != 3) {
        value_error(name, "planes must have 3 dimensions, got " + std::to_string(planes.ndim()));
    }
    request.planes = planes.shape(0);
    const auto bytes = static_cast<std::int64_t>(planes.itemsize());
    if (planes.strides(0) % bytes != 0) {
        value_error(name, "planes must have strides of whole elements, got " +
                              std::to_string(planes.strides(0)) + " bytes");
    }
    request.plane_stride = planes.strides(0) / bytes;
    const py::array first(planes.dtype(), {planes.shape(1), planes.shape(2)},
                          {planes.strides(1), planes.strides(2)}, planes.data(), planes);
    request.plane = input_matrix(name, "planes", first);
}

// The image must be a whole number of output places, and not smaller than one.
void check_scales(const char* name, const ScatteringRequest& request) {
    const auto range = [&](const char* argument, std::int64_t value, std::int64_t most) {
        if (value < 1 || value > most) {
            value_error(name, std::string(argument) + " must be from 1 to " + std::to_string(most) +
                                  ", got " + std::to_string(value));
        }
    };
    range("scales", request.scales, 24);
    range("angles", request.angles, 1024);
    range("order", request.order, 2);
    const std::int64_t step = std::int64_t{1} << request.scales;
    for (const std::int64_t size : {request.plane.rows, request.plane.cols}) {
        if (size < step || size % step != 0) {
            value_error(name, "planes must have sides that are multiples of 2^scales = " +
                                  std::to_string(step) + ", got shape " +
                                  shape_text(request.plane));
        }
    }
}

void check_sizes(const char* name, const ScatteringRequest& request) {
    const std::int64_t pad = std::int64_t{2} << request.scales;
    try {
        const std::int64_t grid = checked_multiply(checked_add(request.plane.rows, pad),
                                                   checked_add(request.plane.cols, pad));
        if (grid > std::numeric_limits<std::int32_t>::max()) {
            throw std::length_error("");
        }
        // Terms, and everything a worker needs for 64 lanes of complex double.
        const std::int64_t filters = std::int64_t{request.scales} * request.scales * request.angles;
        checked_multiply(checked_multiply(grid, filters), 64);
        checked_multiply(checked_multiply(grid, request.threads), 64 * 16 * 8);
    } catch (const std::length_error&) {
        value_error(name, "planes of shape " + shape_text(request.plane) + " are too large");
    }
}

// C-contiguous finite float64, `length` of them in any shape.
const double* float64_table(const char* name, const char* argument, const py::array& array,
                            std::int64_t length) {
    if (!py::isinstance<py::array_t<double>>(array) || (array.flags() & py::array::c_style) == 0 ||
        array.size() != length) {
        value_error(name, std::string(argument) + " must be " + std::to_string(length) +
                              " float64 values in C order, got " + std::to_string(array.size()) +
                              " of " + std::string(py::str(array.dtype())));
    }
    const auto* values = static_cast<const double*>(array.data());
    for (std::int64_t i = 0; i < length; ++i) {
        if (!std::isfinite(values[i])) {
            value_error(name, std::string(argument) + " must be finite");
        }
    }
    return values;
}

void attach_filters(const char* name, const py::array& wavelets, const py::array& lowpass_rows,
                    const py::array& lowpass_cols, ScatteringRequest& request) {
    const std::int64_t pad = std::int64_t{2} << request.scales;
    const std::int64_t rows = request.plane.rows + pad;
    const std::int64_t cols = request.plane.cols + pad;
    request.wavelets =
        float64_table(name, "wavelets", wavelets, rows * cols * request.scales * request.angles);
    std::int64_t row_kernels = 0;
    std::int64_t col_kernels = 0;
    for (int level = 0; level < request.scales; ++level) {
        row_kernels += rows >> level;
        col_kernels += cols >> level;
    }
    request.lowpass_rows = float64_table(name, "lowpass_rows", lowpass_rows, row_kernels);
    request.lowpass_cols = float64_table(name, "lowpass_cols", lowpass_cols, col_kernels);
}

void attach_out(const char* name, const py::array& out, ScatteringRequest& request) {
    request.out = output_matrix(name, "out", out, true);
    const DType compute = request.plane.dtype == DType::float64 ? DType::float64 : DType::float32;
    const std::int64_t channels =
        scattering_channels(request.scales, request.angles, request.order);
    const std::int64_t rows = checked_multiply(request.planes, channels);
    const std::int64_t cols =
        (request.plane.rows >> request.scales) * (request.plane.cols >> request.scales);
    if (request.out.rows != rows || request.out.cols != cols || request.out.dtype != compute) {
        value_error(name, std::string("out must be ") + dtype_name(compute) + " of shape (" +
                              std::to_string(rows) + ", " + std::to_string(cols) + "), got " +
                              dtype_name(request.out.dtype) + " of shape " +
                              shape_text(request.out));
    }
}

void scattering2d_forward(const py::array& planes, int scales, int angles, int order,
                          const py::array& wavelets, const py::array& lowpass_rows,
                          const py::array& lowpass_cols, const py::array& out, int num_threads) {
    constexpr const char* name = "scattering2d_forward";
    ScatteringRequest request;
    attach_planes(name, planes, request);
    request.scales = scales;
    request.angles = angles;
    request.order = order;
    request.threads = thread_count(name, num_threads);
    check_scales(name, request);
    check_sizes(name, request);
    attach_filters(name, wavelets, lowpass_rows, lowpass_cols, request);
    attach_out(name, out, request);
    for (std::int64_t i = 0; i < request.planes; ++i) {
        StridedMatrix plane = request.plane;
        const auto bytes = static_cast<std::int64_t>(planes.itemsize());
        plane.data = static_cast<char*>(plane.data) + i * request.plane_stride * bytes;
        require_apart(name, "out", request.out, "planes", plane);
    }
    const py::gil_scoped_release release;
    isa_table().scattering->forward(request);
}

}  // namespace

void register_scattering(py::module_& module) {
    module.def("scattering2d_forward", &scattering2d_forward, py::arg("planes"), py::arg("scales"),
               py::arg("angles"), py::arg("order"), py::arg("wavelets"), py::arg("lowpass_rows"),
               py::arg("lowpass_cols"), py::arg("out"), py::arg("num_threads") = 0,
               "Fills out (P * channels, H / 2^J * W / 2^J) with the scattering coefficients of\n"
               "planes (P, H, W), given the spectra of the wavelets (J, L, M, N) and the low\n"
               "pass's kernels at every level, one after the other.");
}

}  // namespace ipse::bindings
