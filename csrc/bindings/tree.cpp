// ipse._core: the forest of search trees; checks here, work in csrc/tree.
#include "tree/forest.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>
#include <string>

#include "bindings/arrays.h"
#include "bindings/register.h"
#include "bindings/tree_evaluations.h"
#include "bindings/tree_rules.h"
#include "bindings/tree_state.h"
#include "tree/process_rewards.h"

namespace ipse::bindings {
namespace {

using tree::SearchForest;
using tree::SearchTree;
using tree::TicketState;
using Tickets = py::array_t<std::int64_t, py::array::c_style>;
using Numbers = py::array_t<std::int32_t, py::array::c_style>;
using Floats = py::array_t<float, py::array::c_style>;
using Flags = py::array_t<bool, py::array::c_style>;

std::unique_ptr<SearchForest> make_forest(std::int64_t num_trees, const py::dict& settings) {
    if (num_trees < 1 || num_trees > (std::int64_t{1} << 30)) {
        value_error("SearchForest",
                    "num_trees must be from 1 to 2^30, got " + std::to_string(num_trees));
    }
    return std::make_unique<SearchForest>(num_trees, search_rules(settings));
}

void require_tree(const char* name, const SearchForest& forest, std::int64_t index, bool root) {
    const auto count = static_cast<std::int64_t>(forest.trees().size());
    if (index < 0 || index >= count) {
        value_error(name, "tree must be from 0 to " + std::to_string(count - 1) + ", got " +
                              std::to_string(index));
    }
    if (root && forest.trees()[static_cast<std::size_t>(index)].empty()) {
        value_error(name, "tree " + std::to_string(index) + " has no root yet");
    }
}

py::tuple select(SearchForest& forest, std::int32_t width, std::int64_t limit, int num_threads) {
    constexpr const char* name = "forest.select";
    if (width < 1 || width > 4096) {
        value_error(name, "width must be from 1 to 4096, got " + std::to_string(width));
    }
    const int threads = thread_count(name, num_threads);
    const std::vector<tree::SelectedLeaf>* leaves = nullptr;
    {
        const py::gil_scoped_release release;
        leaves = &forest.select(width, limit, threads);
    }
    const auto count = static_cast<py::ssize_t>(leaves->size());
    Tickets tickets(count);
    Numbers trees(count);
    Numbers parents(count);
    Numbers actions(count);
    Numbers nodes(count);
    Numbers depths(count);
    Floats values(count);
    for (py::ssize_t index = 0; index < count; ++index) {
        const tree::SelectedLeaf& leaf = (*leaves)[static_cast<std::size_t>(index)];
        tickets.mutable_data()[index] = leaf.ticket;
        trees.mutable_data()[index] = leaf.tree;
        parents.mutable_data()[index] = leaf.parent;
        actions.mutable_data()[index] = leaf.action;
        nodes.mutable_data()[index] = leaf.node;
        depths.mutable_data()[index] = leaf.depth;
        values.mutable_data()[index] = leaf.value;
    }
    return py::make_tuple(tickets, trees, parents, actions, nodes, depths, values);
}

void cancel(SearchForest& forest, const Tickets& tickets) {
    constexpr const char* name = "forest.cancel";
    for (py::ssize_t index = 0; index < tickets.size(); ++index) {
        const std::int64_t ticket = tickets.data()[index];
        const TicketState state = forest.state_of(ticket);
        if (state == TicketState::unknown || state == TicketState::expanded) {
            value_error(name,
                        "ticket " + std::to_string(ticket) +
                            (state == TicketState::unknown ? " was never issued"
                                                           : " is expanded already: back it up"));
        }
    }
    forest.cancel(tickets.data(), tickets.size());
}

py::array_t<std::int32_t> reroot(SearchForest& forest, std::int64_t index, std::int32_t action) {
    constexpr const char* name = "forest.reroot";
    require_tree(name, forest, index, true);
    const SearchTree& tree = forest.tree(index);
    if (action < 0 || action >= tree.hot[0].num_children) {
        value_error(name, "action must be below the " + std::to_string(tree.hot[0].num_children) +
                              " actions at the root of tree " + std::to_string(index) + ", got " +
                              std::to_string(action));
    }
    for (const tree::PendingLeaf& leaf : tree.pending) {
        if (leaf.expanded != 0) {
            value_error(name, "ticket " + std::to_string(tree::make_ticket(index, leaf.serial)) +
                                  " is expanded but not backed up");
        }
    }
    const std::vector<std::int32_t> ids = forest.reroot(index, action);
    return py::array_t<std::int32_t>(static_cast<py::ssize_t>(ids.size()), ids.data());
}

void set_root_gumbel(SearchForest& forest, std::int64_t index, const Floats& gumbel) {
    constexpr const char* name = "forest.set_root_gumbel";
    require_tree(name, forest, index, false);
    SearchTree& tree = forest.tree(index);
    if (!tree.empty()) {
        value_error(name, "tree " + std::to_string(index) + " has a root already");
    }
    tree.given_gumbel.assign(gumbel.data(), gumbel.data() + gumbel.size());
}

py::tuple root_gumbel(SearchForest& forest, std::int64_t index) {
    constexpr const char* name = "forest.root_gumbel";
    require_tree(name, forest, index, true);
    if (forest.rules().selection != tree::Selection::gumbel) {
        value_error(name, "selection must be 'gumbel'");
    }
    const SearchTree& tree = forest.tree(index);
    const py::ssize_t count = tree.hot[0].num_children;
    Floats sigmas(count);
    if (count > 0) {
        forest.root_sigmas(index, sigmas.mutable_data());
    }
    return py::make_tuple(Floats(count, tree.gumbel.data()), sigmas);
}

void set_keys(SearchForest& forest, const Tickets& keys) {
    if (keys.size() != static_cast<py::ssize_t>(forest.trees().size())) {
        value_error("forest.set_keys", "keys must have one entry for each of the " +
                                           std::to_string(forest.trees().size()) + " trees, got " +
                                           std::to_string(keys.size()));
    }
    for (py::ssize_t index = 0; index < keys.size(); ++index) {
        forest.tree(index).key = static_cast<std::uint64_t>(keys.data()[index]);
    }
}

py::tuple process_rewards(const Tickets& parents, const Flags& ended, const Flags& correct) {
    constexpr const char* name = "process_rewards";
    const py::ssize_t count = parents.size();
    if (ended.size() != count || correct.size() != count) {
        value_error(name, "ended and correct must have the length of parents, " +
                              std::to_string(count) + ", got " + std::to_string(ended.size()) +
                              " and " + std::to_string(correct.size()));
    }
    for (py::ssize_t node = 0; node < count; ++node) {
        const std::int64_t parent = parents.data()[node];
        if (node == 0 ? parent != -1 : parent < 0 || parent >= node) {
            value_error(name,
                        "parents must be -1 for the root, which is first, and point to "
                        "earlier nodes, got " +
                            std::to_string(parent) + " at node " + std::to_string(node));
        }
    }
    Tickets distances(count);
    Flags hits(count);
    py::array_t<double> values(count);
    const tree::FinishedTree finished{count, parents.data(), ended.data(), correct.data()};
    tree::reasoning_distances(finished, distances.mutable_data(), hits.mutable_data());
    tree::quality_values(finished, distances.data(), hits.data(), values.mutable_data());
    return py::make_tuple(distances, hits, values);
}

}  // namespace

void register_tree(py::module_& module) {
    py::class_<SearchForest>(module, "SearchForest", "Many search trees stepped together.")
        .def(py::init(&make_forest), py::arg("num_trees"), py::arg("rules"))
        .def("select", &select, py::arg("width"), py::arg("limit"), py::arg("num_threads") = 0,
             "ticket, tree, parent, action, node, depth and edge value of leaves, each (L,).")
        .def("tell", &tell_leaves, py::arg("tickets"), py::arg("values"), py::arg("children"),
             py::arg("num_threads") = 0, "Expands and backs up; returns how many were new.")
        .def("expand", &expand_leaves, py::arg("tickets"), py::arg("children"),
             py::arg("num_threads") = 0, "Makes the nodes of leaves.")
        .def("backup", &back_up_leaves, py::arg("tickets"), py::arg("values"),
             py::arg("rollouts") = py::none(), py::arg("num_threads") = 0,
             "Values of leaves that were expanded.")
        .def("cancel", &cancel, py::arg("tickets"))
        .def("reroot", &reroot, py::arg("tree"), py::arg("action"))
        .def("set_root_gumbel", &set_root_gumbel, py::arg("tree"), py::arg("gumbel"))
        .def("root_gumbel", &root_gumbel, py::arg("tree"))
        .def("set_keys", &set_keys, py::arg("keys"))
        .def("root_statistics", &root_statistics, "Arrays (B, A), padded, and (B,).")
        .def("counters", &counters, "simulations, collisions, nodes, edges and pending of trees.")
        .def("arrays", &tree_arrays, py::arg("tree"), "All of one tree as arrays.")
        .def("restore", &restore_tree, py::arg("tree"), py::arg("arrays"))
        .def("memory_bytes", &SearchForest::bytes);
    module.def("process_rewards", &process_rewards, py::arg("parents"), py::arg("ended"),
               py::arg("correct"), "distances + 1 (0 unknown), hits and quality values (N,).");
}

}  // namespace ipse::bindings
