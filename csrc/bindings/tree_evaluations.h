// What an evaluator says of leaves, checked: expansion and backup.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>

#include "tree/forest.h"

namespace ipse::bindings {

// `children` has the keys priors or logits, num_children, mask, child_values, rewards,
// discounts, terminal, to_play and rollouts, all optional; values of None are as if missing.
std::int64_t tell_leaves(tree::SearchForest& forest, const pybind11::array& tickets,
                         const pybind11::array& values, const pybind11::dict& children,
                         int num_threads);
std::int64_t expand_leaves(tree::SearchForest& forest, const pybind11::array& tickets,
                           const pybind11::dict& children, int num_threads);
std::int64_t back_up_leaves(tree::SearchForest& forest, const pybind11::array& tickets,
                            const pybind11::array& values, const pybind11::object& rollouts,
                            int num_threads);

}  // namespace ipse::bindings
