#include "bindings/integers.h"

#include <string>

#include "bindings/arrays.h"

namespace ipse::bindings {
namespace {

std::string shape_of(const py::array& array) {
    std::string text = "(";
    for (py::ssize_t axis = 0; axis < array.ndim(); ++axis) {
        text += (axis > 0 ? ", " : "") + std::to_string(array.shape(axis));
    }
    return text + (array.ndim() == 1 ? ",)" : ")");
}

void require_int64(const char* function, const char* argument, const py::array& array) {
    const py::dtype dtype = array.dtype();
    if (dtype.kind() != 'i' || dtype.itemsize() != 8 || dtype.byteorder() != '=') {
        throw py::type_error(std::string(function) + ": " + argument + " must be int64, got " +
                             std::string(py::str(dtype)));
    }
    if ((array.flags() & py::array::c_style) == 0) {
        value_error(function, std::string(argument) + " must be C-contiguous");
    }
    if (reinterpret_cast<std::uintptr_t>(array.data()) % sizeof(std::int64_t) != 0) {
        value_error(function, std::string(argument) + " must be aligned to its elements");
    }
}

}  // namespace

const std::int64_t* int64_vector(const char* function, const char* argument,
                                 const std::optional<py::array>& array, std::int64_t length) {
    if (!array) {
        return nullptr;
    }
    require_int64(function, argument, *array);
    if (array->ndim() != 1 || array->shape(0) != length) {
        value_error(function, std::string(argument) + " must have shape (" +
                                  std::to_string(length) + ",), got " + shape_of(*array));
    }
    return static_cast<const std::int64_t*>(array->data());
}

std::int64_t* int64_matrix(const char* function, const char* argument, const py::array& array,
                           std::int64_t rows, std::int64_t cols, bool writable) {
    require_int64(function, argument, array);
    if (array.ndim() != 2 || array.shape(0) != rows || array.shape(1) != cols) {
        value_error(function, std::string(argument) + " must have shape (" + std::to_string(rows) +
                                  ", " + std::to_string(cols) + "), got " + shape_of(array));
    }
    if (writable && !array.writeable()) {
        value_error(function, std::string(argument) + " must be writable, got a read-only array");
    }
    return static_cast<std::int64_t*>(const_cast<void*>(array.data()));
}

}  // namespace ipse::bindings
