// Filling a tree from arrays of unknown origin: everything is checked, nothing is believed.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/tree_state.h"

namespace ipse::bindings {
namespace {

using tree::EdgeBlock;
using tree::HotNode;
using tree::PendingLeaf;
using tree::SearchTree;

[[noreturn]] void no_tree(const std::string& why) {
    value_error("forest.restore", "the arrays make no tree: " + why);
}

template <class T>
std::vector<T> taken(const py::dict& arrays, const char* key, std::size_t length) {
    if (!arrays.contains(key)) {
        no_tree(std::string(key) + " is missing");
    }
    const auto array =
        py::array_t<T, py::array::c_style | py::array::forcecast>::ensure(arrays[key]);
    if (!array || (length != SIZE_MAX && static_cast<std::size_t>(array.size()) != length)) {
        PyErr_Clear();
        no_tree(std::string(key) + " has the wrong length or type");
    }
    // Parentheses: braces would make two elements of the pointers where T is bool.
    return std::vector<T>(array.data(), array.data() + array.size());
}

void read_nodes(const py::dict& arrays, SearchTree& tree) {
    const auto parents = taken<std::int32_t>(arrays, "parent", SIZE_MAX);
    const std::size_t count = parents.size();
    const auto visits = taken<std::int32_t>(arrays, "visits", count);
    const auto values = taken<float>(arrays, "value", count);
    const auto raw = taken<float>(arrays, "raw_value", count);
    const auto rewards = taken<float>(arrays, "reward", count);
    const auto discounts = taken<float>(arrays, "discount", count);
    const auto actions = taken<std::int32_t>(arrays, "action", count);
    const auto widths = taken<std::int32_t>(arrays, "num_children", count);
    const auto to_play = taken<std::int32_t>(arrays, "to_play", count);
    const auto terminal = taken<bool>(arrays, "terminal", count);
    const auto awaiting = taken<bool>(arrays, "awaiting", count);
    std::int64_t edges = 0;
    for (std::size_t node = 0; node < count; ++node) {
        HotNode hot{visits[node],
                    values[node],
                    rewards[node],
                    discounts[node],
                    parents[node],
                    actions[node],
                    0,
                    widths[node]};
        const bool root = node == 0;
        if (root ? hot.parent != -1
                 : hot.parent < 0 || static_cast<std::size_t>(hot.parent) >= node ||
                       hot.parent_edge < 0 ||
                       hot.parent_edge >= widths[static_cast<std::size_t>(hot.parent)]) {
            no_tree("node " + std::to_string(node) + " has no proper parent");
        }
        if (hot.visits < 0 || hot.num_children < 0 || !std::isfinite(hot.value) ||
            !std::isfinite(hot.reward) || !std::isfinite(hot.discount)) {
            no_tree("node " + std::to_string(node) + " has impossible numbers");
        }
        hot.edges = static_cast<std::int32_t>(edges);
        edges += hot.num_children;
        if (edges > (std::int64_t{1} << 31) - 64) {
            no_tree("too many edges");
        }
        const std::int32_t depth =
            root ? 0 : tree.cold[static_cast<std::size_t>(hot.parent)].depth + 1;
        tree.hot.push_back(hot);
        tree.cold.push_back({raw[node], depth, to_play[node], terminal[node], awaiting[node]});
    }
    tree.edges.reserve(edges);
    tree.edges.append(static_cast<std::int32_t>(edges));
}

void read_edges(const py::dict& arrays, SearchTree& tree) {
    const auto count = static_cast<std::size_t>(tree.edges.size());
    const auto visits = taken<std::int32_t>(arrays, "edge_visits", count);
    const auto values = taken<float>(arrays, "edge_value", count);
    const auto priors = taken<float>(arrays, "edge_prior", count);
    const auto children = taken<std::int32_t>(arrays, "edge_child", count);
    std::size_t from = 0;
    for (std::size_t node = 0; node < tree.hot.size(); ++node) {
        const EdgeBlock block = tree.children(tree.hot[node]);
        for (std::int32_t edge = 0; edge < block.count; ++edge, ++from) {
            const std::int32_t child = children[from];
            const bool known = child >= 0 && static_cast<std::size_t>(child) < tree.hot.size();
            const bool right = known &&
                               tree.hot[static_cast<std::size_t>(child)].parent ==
                                   static_cast<std::int32_t>(node) &&
                               tree.hot[static_cast<std::size_t>(child)].parent_edge == edge;
            if ((child != tree::no_child && child != tree::pending_child && !right) ||
                visits[from] < 0 || std::isnan(priors[from]) || !std::isfinite(values[from])) {
                no_tree("edge " + std::to_string(from) + " has impossible entries");
            }
            block.visits[edge] = visits[from];
            block.values[edge] = values[from];
            block.priors[edge] = priors[from];
            // Pending leaves set theirs again: no edge is left waiting for nobody.
            block.children[edge] = child == tree::pending_child ? tree::no_child : child;
        }
    }
    for (std::size_t node = 1; node < tree.hot.size(); ++node) {
        const HotNode& hot = tree.hot[node];
        if (tree.children(hot.parent).children[hot.parent_edge] != static_cast<int>(node)) {
            no_tree("node " + std::to_string(node) + " hangs on no edge");
        }
    }
}

// Where a pending leaf says it is: an edge without child, or the node below the edge.
bool is_possible(const SearchTree& tree, const PendingLeaf& leaf) {
    const auto nodes = static_cast<std::int32_t>(tree.hot.size());
    if (leaf.parent < 0) {
        return leaf.parent == -1 && leaf.edge == -1 &&
               (nodes == 0 ? leaf.node == -1 : leaf.node == 0 && leaf.expanded != 0);
    }
    if (leaf.parent >= nodes || leaf.edge < 0 ||
        leaf.edge >= tree.hot[static_cast<std::size_t>(leaf.parent)].num_children) {
        return false;
    }
    const std::int32_t child = tree.children(leaf.parent).children[leaf.edge];
    return leaf.node < 0 ? leaf.node == -1 && child == tree::no_child : leaf.node == child;
}

void read_pending(const py::dict& arrays, SearchTree& tree) {
    const auto rows = taken<std::int64_t>(arrays, "pending", SIZE_MAX);
    if (rows.size() % 5 != 0 || rows.size() / 5 > 65535) {
        no_tree("pending has the wrong length");
    }
    for (std::size_t row = 0; row < rows.size(); row += 5) {
        PendingLeaf leaf;
        leaf.serial = static_cast<std::uint32_t>(rows[row]);
        leaf.parent = static_cast<std::int32_t>(rows[row + 1]);
        leaf.edge = static_cast<std::int32_t>(rows[row + 2]);
        leaf.node = static_cast<std::int32_t>(rows[row + 3]);
        leaf.expanded = rows[row + 4] != 0 ? 1 : 0;
        const bool ordered = tree.pending.empty() || tree.pending.back().serial < leaf.serial;
        if (!ordered || leaf.serial >= tree.next_serial || !is_possible(tree, leaf)) {
            no_tree("pending leaf " + std::to_string(row / 5) + " has no place");
        }
        if (leaf.node < 0 && leaf.parent >= 0) {
            tree.children(leaf.parent).children[leaf.edge] = tree::pending_child;
        }
        tree.pending.push_back(leaf);
    }
}

void read_counters(const py::dict& arrays, SearchTree& tree) {
    const auto counts = taken<std::int64_t>(arrays, "counters", 5);
    tree.key = static_cast<std::uint64_t>(counts[0]);
    tree.epoch = static_cast<std::uint32_t>(counts[1]);
    tree.next_serial = static_cast<std::uint32_t>(counts[2]);
    tree.simulations = counts[3];
    tree.collisions = counts[4];
    const auto range = taken<float>(arrays, "range", 2);
    tree.low = range[0];
    tree.high = range[1];
    tree.gumbel = taken<float>(arrays, "gumbel", SIZE_MAX);
    tree.given_gumbel = taken<float>(arrays, "given_gumbel", SIZE_MAX);
}

}  // namespace

void restore_tree(tree::SearchForest& forest, std::int64_t index, const py::dict& arrays) {
    const auto count = static_cast<std::int64_t>(forest.trees().size());
    if (index < 0 || index >= count) {
        value_error("forest.restore", "tree must be from 0 to " + std::to_string(count - 1) +
                                          ", got " + std::to_string(index));
    }
    SearchTree tree;
    read_nodes(arrays, tree);
    read_edges(arrays, tree);
    read_counters(arrays, tree);
    read_pending(arrays, tree);
    if (forest.rules().selection == tree::Selection::gumbel && !tree.empty() &&
        tree.gumbel.size() != static_cast<std::size_t>(tree.hot[0].num_children)) {
        no_tree("gumbel must have an entry for each action of the root");
    }
    for (const HotNode& node : tree.hot) {
        forest.note_width(node.num_children);
    }
    forest.tree(index) = std::move(tree);
}

}  // namespace ipse::bindings
