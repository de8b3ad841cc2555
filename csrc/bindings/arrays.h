// NumPy arrays to StridedMatrix, with every check the kernels rely on.
// Messages follow one order: function, argument, what is allowed, what came.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <string>

#include "base/matrix.h"

namespace ipse::bindings {

namespace py = pybind11;

// A float32, float64, float16 or (as uint16 bit patterns: NumPy has no bfloat16) bfloat16
// matrix. Any strides that are whole elements. Throws TypeError or ValueError.
StridedMatrix input_matrix(const char* function, const char* argument, const py::array& array);

// The same for a result: writable, no two elements in one place, C-contiguous where `contiguous`.
StridedMatrix output_matrix(const char* function, const char* argument, const py::array& array,
                            bool contiguous);

// ValueError where the memory of a result reaches into that of another argument.
void require_apart(const char* function, const char* result, const StridedMatrix& to,
                   const char* other, const StridedMatrix& from);

const char* dtype_name(DType dtype);
std::string shape_text(const StridedMatrix& matrix);

// 0 means the OpenMP default. At least 1, at most 8 for each processor: a thread that cannot
// be started ends the process inside the OpenMP runtime.
int thread_count(const char* function, int requested);

[[noreturn]] void value_error(const char* function, const std::string& message);

}  // namespace ipse::bindings
