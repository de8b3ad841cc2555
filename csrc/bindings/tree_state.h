// A forest's contents as NumPy arrays, and back.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>

#include "tree/forest.h"

namespace ipse::bindings {

pybind11::dict root_statistics(const tree::SearchForest& forest);
pybind11::array counters(const tree::SearchForest& forest);
pybind11::dict tree_arrays(tree::SearchForest& forest, std::int64_t index);

// Fills a tree from what tree_arrays gave; ValueError where the arrays make no tree.
void restore_tree(tree::SearchForest& forest, std::int64_t index, const pybind11::dict& arrays);

}  // namespace ipse::bindings
