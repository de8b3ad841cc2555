// Arrays of int64: labels, ids, indices.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <optional>

namespace ipse::bindings {

// The data of a C-contiguous int64 vector of `length`; null for None.
const std::int64_t* int64_vector(const char* function, const char* argument,
                                 const std::optional<pybind11::array>& array, std::int64_t length);

// The data of a C-contiguous int64 matrix of shape (rows, cols).
std::int64_t* int64_matrix(const char* function, const char* argument, const pybind11::array& array,
                           std::int64_t rows, std::int64_t cols, bool writable);

}  // namespace ipse::bindings
