// ipse._core: which channels of each row stay, by mass or by number.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/checked_size.h"
#include "base/isa_table.h"
#include "bindings/arrays.h"
#include "bindings/integers.h"
#include "bindings/register.h"

namespace ipse::bindings {
namespace {

ResponseRows rows_of(const char* name, const py::array& response, std::int64_t keep_at_least,
                     int num_threads) {
    ResponseRows rows;
    rows.response = input_matrix(name, "response", response);
    rows.keep_at_least = keep_at_least;
    rows.threads = thread_count(name, num_threads);
    const std::int64_t channels = rows.response.cols;
    if (channels < 1) {
        value_error(name,
                    "response must have at least one channel, got " + shape_text(rows.response));
    }
    if (keep_at_least < 0 || keep_at_least > channels) {
        value_error(name, "keep_at_least must be from 0 to the number of channels, " +
                              std::to_string(channels) + ", got " + std::to_string(keep_at_least));
    }
    try {
        checked_multiply(checked_multiply(checked_add(channels, 4096), rows.threads), 64);
        checked_multiply(rows.response.rows, checked_add(channels, 4096));
    } catch (const std::length_error&) {
        value_error(name,
                    "response of shape " + shape_text(rows.response) + " overflows 64-bit sizes");
    }
    // Sums keep at least as many bits as float32 has for the largest response.
    if (channels > (std::int64_t{1} << 26)) {
        value_error(name,
                    "response must have at most 2^26 channels, got " + std::to_string(channels));
    }
    return rows;
}

MaskResult result_of(const char* name, const ResponseRows& rows, const py::array& mask,
                     const py::array& counts) {
    if (mask.dtype().kind() != 'b' || mask.ndim() != 2 || mask.shape(0) != rows.response.rows ||
        mask.shape(1) != rows.response.cols || !mask.writeable() ||
        (mask.flags() & py::array::c_style) == 0) {
        value_error(name, "mask must be a writable C-contiguous bool array of shape " +
                              shape_text(rows.response));
    }
    MaskResult result;
    result.mask = static_cast<bool*>(const_cast<void*>(mask.data()));
    result.counts = int64_matrix(name, "counts", counts, rows.response.rows, 1, true);
    return result;
}

void check_mass(const char* name, double mass) {
    if (!((mass > 0.0 && mass <= 1.0) || mass < 0.0)) {
        value_error(name, "a mass must be above 0 and at most 1, or negative, got " +
                              std::string(py::str(py::float_(mass))));
    }
}

void require_right(const char* name, const ResponseRows& rows, std::int64_t wrong) {
    if (wrong >= 0) {
        value_error(name, "response must be finite and at least 0, got another value in row " +
                              std::to_string(wrong) + " of " + std::to_string(rows.response.rows));
    }
}

void mass_topk_mask(const py::array& response, double mass, const py::array& mask,
                    const py::array& counts, std::int64_t keep_at_least, int num_threads) {
    constexpr const char* name = "mass_topk_mask";
    MassMask request;
    request.rows = rows_of(name, response, keep_at_least, num_threads);
    check_mass(name, mass);
    request.mass = mass;
    request.result = result_of(name, request.rows, mask, counts);
    std::int64_t wrong = -1;
    {
        const py::gil_scoped_release release;
        wrong = isa_table().masks->mass_topk_mask(request);
    }
    require_right(name, request.rows, wrong);
}

void mass_curve(const py::array& response, const std::vector<double>& grid, const py::array& counts,
                std::int64_t keep_at_least, int num_threads) {
    constexpr const char* name = "mass_curve";
    MassCurve request;
    request.rows = rows_of(name, response, keep_at_least, num_threads);
    for (const double mass : grid) {
        check_mass(name, mass);
    }
    request.grid = grid.data();
    request.grid_size = static_cast<std::int64_t>(grid.size());
    request.counts =
        int64_matrix(name, "counts", counts, request.rows.response.rows, request.grid_size, true);
    std::int64_t wrong = -1;
    {
        const py::gil_scoped_release release;
        wrong = isa_table().masks->mass_curve(request);
    }
    require_right(name, request.rows, wrong);
}

void uniform_topk_mask(const py::array& response, std::int64_t most, const py::array& mask,
                       const py::array& counts, std::int64_t keep_at_least, int num_threads) {
    constexpr const char* name = "uniform_topk_mask";
    UniformMask request;
    request.rows = rows_of(name, response, keep_at_least, num_threads);
    if (most < 0 || most > request.rows.response.cols) {
        value_error(name, "most must be from 0 to the number of channels, " +
                              std::to_string(request.rows.response.cols) + ", got " +
                              std::to_string(most));
    }
    request.most = most;
    request.result = result_of(name, request.rows, mask, counts);
    std::int64_t wrong = -1;
    {
        const py::gil_scoped_release release;
        wrong = isa_table().masks->uniform_topk_mask(request);
    }
    require_right(name, request.rows, wrong);
}

}  // namespace

void register_pruning_masks(py::module_& module) {
    module.def("mass_topk_mask", &mass_topk_mask, py::arg("response"), py::arg("mass"),
               py::arg("mask"), py::arg("counts"), py::arg("keep_at_least") = 0,
               py::arg("num_threads") = 0,
               "Fills mask (N, C) with the largest responses while their sum stays within mass\n"
               "+ 1e-5 of the row's, counts (N, 1) with their number.");
    module.def("mass_curve", &mass_curve, py::arg("response"), py::arg("grid"), py::arg("counts"),
               py::arg("keep_at_least") = 0, py::arg("num_threads") = 0,
               "Fills counts (N, G) with the number of channels that each mass keeps.");
    module.def("uniform_topk_mask", &uniform_topk_mask, py::arg("response"), py::arg("most"),
               py::arg("mask"), py::arg("counts"), py::arg("keep_at_least") = 0,
               py::arg("num_threads") = 0,
               "Fills mask (N, C) with the most largest responses that are above 1e-5.");
}

}  // namespace ipse::bindings
