#include "bindings/register.h"

PYBIND11_MODULE(_core, module) {
    module.doc() = "The native core of ipse: NumPy arrays in and out, no torch, GIL released.";
    ipse::bindings::register_base(module);
    ipse::bindings::register_channel_response(module);
    ipse::bindings::register_clusters(module);
    ipse::bindings::register_crops(module);
    ipse::bindings::register_cross_correlation(module);
    ipse::bindings::register_neighbours(module);
    ipse::bindings::register_pruning_masks(module);
    ipse::bindings::register_similarity(module);
    ipse::bindings::register_prototypes(module);
    ipse::bindings::register_styles(module);
    ipse::bindings::register_scattering(module);
    ipse::bindings::register_token_subsets(module);
    ipse::bindings::register_tree(module);
}
