// ipse._core: what this build is, and the plain product.
#include "base/checked_size.h"
#include "base/cpu_features.h"
#include "base/isa_table.h"
#include "base/parallel.h"
#include "bindings/arrays.h"
#include "bindings/register.h"

#ifndef IPSE_VERSION
#define IPSE_VERSION "unknown"
#endif
#ifndef IPSE_COMPILER
#define IPSE_COMPILER "unknown"
#endif

namespace ipse::bindings {
namespace {

py::dict build_info() {
    py::dict info;
    info["version"] = IPSE_VERSION;
    info["isa"] = isa_name(selected_isa());
    info["isas_compiled"] = compiled_isas();
    info["compiler"] = IPSE_COMPILER;
    info["openmp"] = openmp_runtime_path();
    info["max_threads"] = default_threads();
    return info;
}

void matmul(const py::array& left, const py::array& right, const py::array& out, bool symmetric,
            bool accumulate, int num_threads) {
    constexpr const char* name = "gemm";
    GemmRequest request;
    request.left = input_matrix(name, "left", left);
    request.right = input_matrix(name, "right", right);
    request.out = output_matrix(name, "out", out, false);
    request.symmetric = symmetric;
    request.accumulate = accumulate;
    request.threads = thread_count(name, num_threads);
    if (request.left.cols != request.right.cols) {
        value_error(name, "left and right must have the same number of columns, got " +
                              shape_text(request.left) + " and " + shape_text(request.right));
    }
    if (request.out.rows != request.left.rows || request.out.cols != request.right.rows) {
        value_error(name, "out must have shape (" + std::to_string(request.left.rows) + ", " +
                              std::to_string(request.right.rows) + "), got " +
                              shape_text(request.out));
    }
    const bool wide = request.out.dtype == DType::float64;
    if ((request.left.dtype == DType::float64) != wide ||
        (request.right.dtype == DType::float64) != wide ||
        (!wide && request.out.dtype != DType::float32)) {
        throw py::type_error(std::string("gemm: left, right and out must all be float64, or out "
                                         "float32 and none float64, got ") +
                             dtype_name(request.left.dtype) + ", " +
                             dtype_name(request.right.dtype) + " and " +
                             dtype_name(request.out.dtype));
    }
    if (symmetric && left.ptr() != right.ptr()) {
        value_error(name, "symmetric needs left and right to be one array");
    }
    require_apart(name, "out", request.out, "left", request.left);
    require_apart(name, "out", request.out, "right", request.right);
    // Whatever the kernel derives from the sizes: both operands and out padded, some times.
    for (const StridedMatrix& matrix : {request.left, request.right, request.out}) {
        checked_multiply(
            checked_multiply(checked_add(matrix.rows, 512), checked_add(matrix.cols, 512)),
            16 * static_cast<std::int64_t>(request.threads));
    }
    const py::gil_scoped_release release;
    isa_table().gemm(request);
}

void elementwise(const char* name, void (*kernel)(const StridedMatrix&, const StridedMatrix&),
                 const py::array& values, const py::array& out) {
    const StridedMatrix from = input_matrix(name, "values", values);
    const StridedMatrix to = output_matrix(name, "out", out, false);
    if (from.rows != to.rows || from.cols != to.cols || from.dtype != to.dtype) {
        value_error(name,
                    "out must be as values, got " + shape_text(to) + " for " + shape_text(from));
    }
    if (from.dtype != DType::float32 && from.dtype != DType::float64) {
        throw py::type_error(std::string(name) + ": values must be float32 or float64, got " +
                             dtype_name(from.dtype));
    }
    require_apart(name, "out", to, "values", from);
    kernel(from, to);
}

}  // namespace

void register_base(py::module_& module) {
    module.def(
        "build_info", &build_info,
        "Version, instruction set in use and compiled in, compiler, OpenMP runtime, threads.");
    module.def("gemm", &matmul, py::arg("left"), py::arg("right"), py::arg("out"), py::kw_only(),
               py::arg("symmetric") = false, py::arg("accumulate") = false,
               py::arg("num_threads") = 0,
               "out (M, N) = left (M, K) @ right (N, K).T, or += with accumulate.\n\n"
               "symmetric: right is left; half the work. float32/16 inputs give float32.");
    module.def(
        "exponential",
        [](const py::array& values, const py::array& out) {
            elementwise("exponential", isa_table().exponential, values, out);
        },
        py::arg("values"), py::arg("out"), "e^x as the kernels compute it.");
    module.def(
        "log1p_unit",
        [](const py::array& values, const py::array& out) {
            elementwise("log1p_unit", isa_table().log1p_unit, values, out);
        },
        py::arg("values"), py::arg("out"), "log(1 + e), e in [0, 1], as the kernels compute it.");
}

}  // namespace ipse::bindings
