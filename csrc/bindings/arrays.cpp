#include "bindings/arrays.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/parallel.h"

namespace ipse::bindings {
namespace {

std::string prefix(const char* function, const char* argument) {
    return std::string(function) + ": " + argument + " ";
}

DType dtype_of(const char* function, const char* argument, const py::array& array) {
    const py::dtype dtype = array.dtype();
    const char kind = dtype.kind();
    const auto bytes = dtype.itemsize();
    const char order = dtype.byteorder();
    if (order == '=' || order == '|') {
        if (kind == 'f' && bytes == 4) {
            return DType::float32;
        }
        if (kind == 'f' && bytes == 8) {
            return DType::float64;
        }
        if (kind == 'f' && bytes == 2) {
            return DType::float16;
        }
        if (kind == 'u' && bytes == 2) {
            return DType::bfloat16;
        }
    }
    throw py::type_error(prefix(function, argument) +
                         "must be float32, float64, float16 or bfloat16 (as uint16), got " +
                         std::string(py::str(dtype)));
}

// Sufficient, not necessary: interleaved rows that happen to miss each other are refused too.
bool overlaps_itself(const StridedMatrix& matrix) {
    std::int64_t count = matrix.cols;
    std::int64_t inner = std::abs(matrix.col_stride);
    std::int64_t outer_count = matrix.rows;
    std::int64_t outer = std::abs(matrix.row_stride);
    if (outer < inner) {
        std::swap(count, outer_count);
        std::swap(inner, outer);
    }
    if (count == 0 || outer_count == 0) {
        return false;
    }
    return (count > 1 && inner == 0) || (outer_count > 1 && outer <= inner * (count - 1));
}

std::int64_t element_bytes(DType dtype) {
    return dtype == DType::float64 ? 8 : (dtype == DType::float32 ? 4 : 2);
}

// First and one past the last byte a matrix touches; NumPy has checked that they exist.
std::pair<std::uintptr_t, std::uintptr_t> byte_range(const StridedMatrix& matrix) {
    const std::int64_t bytes = element_bytes(matrix.dtype);
    std::int64_t low = 0;
    std::int64_t high = bytes;
    for (const auto& [count, stride] :
         {std::pair{matrix.rows, matrix.row_stride}, std::pair{matrix.cols, matrix.col_stride}}) {
        const std::int64_t reach = (count - 1) * stride * bytes;
        low += std::min<std::int64_t>(reach, 0);
        high += std::max<std::int64_t>(reach, 0);
    }
    const auto base = reinterpret_cast<std::uintptr_t>(matrix.data);
    return {base + static_cast<std::uintptr_t>(low), base + static_cast<std::uintptr_t>(high)};
}

}  // namespace

void require_apart(const char* function, const char* result, const StridedMatrix& to,
                   const char* other, const StridedMatrix& from) {
    if (to.rows == 0 || to.cols == 0 || from.rows == 0 || from.cols == 0) {
        return;
    }
    const auto [to_begin, to_end] = byte_range(to);
    const auto [from_begin, from_end] = byte_range(from);
    if (to_begin < from_end && from_begin < to_end) {
        value_error(function, std::string(result) + " must not overlap " + other);
    }
}

StridedMatrix input_matrix(const char* function, const char* argument, const py::array& array) {
    StridedMatrix matrix;
    matrix.dtype = dtype_of(function, argument, array);
    if (array.ndim() != 2) {
        value_error(function, std::string(argument) + " must have 2 dimensions, got " +
                                  std::to_string(array.ndim()));
    }
    const auto bytes = static_cast<std::int64_t>(array.itemsize());
    for (int axis = 0; axis < 2; ++axis) {
        if (array.strides(axis) % bytes != 0) {
            value_error(function, std::string(argument) +
                                      " must have strides of whole elements, got " +
                                      std::to_string(array.strides(axis)) + " bytes");
        }
    }
    matrix.data = const_cast<void*>(array.data());
    if (reinterpret_cast<std::uintptr_t>(matrix.data) % static_cast<std::uintptr_t>(bytes) != 0) {
        value_error(function, std::string(argument) + " must be aligned to its elements");
    }
    matrix.rows = array.shape(0);
    matrix.cols = array.shape(1);
    matrix.row_stride = array.strides(0) / bytes;
    matrix.col_stride = array.strides(1) / bytes;
    return matrix;
}

StridedMatrix output_matrix(const char* function, const char* argument, const py::array& array,
                            bool contiguous) {
    const StridedMatrix matrix = input_matrix(function, argument, array);
    if (!array.writeable()) {
        value_error(function, std::string(argument) + " must be writable, got a read-only array");
    }
    if (overlaps_itself(matrix)) {
        value_error(function, std::string(argument) + " must not overlap itself");
    }
    if (contiguous && (array.flags() & py::array::c_style) == 0) {
        value_error(function, std::string(argument) + " must be C-contiguous");
    }
    return matrix;
}

const char* dtype_name(DType dtype) {
    switch (dtype) {
        case DType::float64:
            return "float64";
        case DType::bfloat16:
            return "bfloat16";
        case DType::float16:
            return "float16";
        case DType::float32:
            break;
    }
    return "float32";
}

std::string shape_text(const StridedMatrix& matrix) {
    return "(" + std::to_string(matrix.rows) + ", " + std::to_string(matrix.cols) + ")";
}

int thread_count(const char* function, int requested) {
    if (requested < 0) {
        value_error(function, "num_threads must be at least 0 (0 is the OpenMP default), got " +
                                  std::to_string(requested));
    }
    const int threads = requested == 0 ? default_threads() : requested;
    return std::clamp(threads, 1, 8 * processor_count());
}

void value_error(const char* function, const std::string& message) {
    throw py::value_error(std::string(function) + ": " + message);
}

}  // namespace ipse::bindings
