// One register_* function for each engine; module.cpp calls them all.
#pragma once

#include <pybind11/pybind11.h>

namespace ipse::bindings {

void register_base(pybind11::module_& module);
void register_channel_response(pybind11::module_& module);
void register_clusters(pybind11::module_& module);
void register_crops(pybind11::module_& module);
void register_cross_correlation(pybind11::module_& module);
void register_neighbours(pybind11::module_& module);
void register_pruning_masks(pybind11::module_& module);
void register_similarity(pybind11::module_& module);
void register_prototypes(pybind11::module_& module);
void register_styles(pybind11::module_& module);
void register_scattering(pybind11::module_& module);
void register_token_subsets(pybind11::module_& module);
void register_tree(pybind11::module_& module);

}  // namespace ipse::bindings
