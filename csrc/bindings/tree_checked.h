// Evaluations on their way from Python: what was checked, and what keeps it alive.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "bindings/arrays.h"
#include "tree/forest.h"

namespace ipse::bindings {

// Owns what tree::Evaluations points to.
struct Checked {
    tree::Evaluations evaluations;
    const char* name = "";
    std::vector<py::object> alive;
    std::vector<std::int32_t> counts;
    std::vector<std::int64_t> offsets;
    std::vector<float> priors;
    std::int64_t edges = 0;

    std::string at(std::int64_t index) const {
        return " at ticket " + std::to_string(evaluations.tickets[index]);
    }
};

inline std::string number_text(double value) {
    return std::string(py::str(py::float_(value)));
}

// A C-contiguous vector of `length`, converted where need be; null for None.
template <class T>
const T* vector_of(Checked& checked, const char* argument, const py::object& given,
                   std::int64_t length) {
    if (given.is_none()) {
        return nullptr;
    }
    auto array = py::array_t<T, py::array::c_style | py::array::forcecast>::ensure(given);
    if (!array) {
        PyErr_Clear();
        throw py::type_error(std::string(checked.name) + ": " + argument +
                             " must be an array of numbers");
    }
    if (array.size() != length) {
        value_error(checked.name, std::string(argument) + " must have " + std::to_string(length) +
                                      " entries, got " + std::to_string(array.size()));
    }
    const T* data = array.data();
    checked.alive.push_back(std::move(array));
    return data;
}

// Priors or logits, and the mask, once the leaves' numbers of children are known.
void take_priors(Checked& checked, const py::object& priors, bool logits);
void take_mask(Checked& checked, const py::object& given);

}  // namespace ipse::bindings
