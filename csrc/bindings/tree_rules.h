// The rules of a search as a dict of Python, checked.
#pragma once

#include <pybind11/pybind11.h>

#include "tree/rules.h"

namespace ipse::bindings {

// ValueError for an unknown name or a value out of range.
tree::Rules search_rules(const pybind11::dict& settings);

}  // namespace ipse::bindings
