#include "bindings/tree_state.h"

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "bindings/arrays.h"

namespace ipse::bindings {
namespace {

using tree::ColdNode;
using tree::EdgeBlock;
using tree::HotNode;
using tree::PendingLeaf;
using tree::SearchTree;

template <class T, class Item, class Get>
py::array_t<T> column(const std::vector<Item>& items, const Get& get) {
    py::array_t<T> result(static_cast<py::ssize_t>(items.size()));
    T* to = result.mutable_data();
    for (const Item& item : items) {
        *to++ = get(item);
    }
    return result;
}

// One field of all edges, node after node.
template <class T>
py::array_t<T> edge_column(const SearchTree& tree, T* EdgeBlock::* field) {
    py::array_t<T> result(tree.edges.size());
    T* to = result.mutable_data();
    for (const HotNode& node : tree.hot) {
        const EdgeBlock block = tree.children(node);
        to = std::copy(block.*field, block.*field + block.count, to);
    }
    return result;
}

}  // namespace

py::dict root_statistics(const tree::SearchForest& forest) {
    std::int32_t width = 0;
    for (const SearchTree& tree : forest.trees()) {
        width = std::max(width, tree.empty() ? 0 : tree.hot[0].num_children);
    }
    const auto count = static_cast<py::ssize_t>(forest.trees().size());
    const py::ssize_t columns = width;
    py::array_t<std::int32_t> visits({count, columns});
    py::array_t<float> values({count, columns});
    py::array_t<float> priors({count, columns});
    py::array_t<std::int32_t> root_visits(count);
    py::array_t<float> root_values(count);
    py::array_t<std::int32_t> num_children(count);
    std::fill_n(visits.mutable_data(), visits.size(), 0);
    std::fill_n(values.mutable_data(), values.size(), std::numeric_limits<float>::quiet_NaN());
    std::fill_n(priors.mutable_data(), priors.size(), -std::numeric_limits<float>::infinity());
    for (py::ssize_t row = 0; row < count; ++row) {
        const SearchTree& tree = forest.trees()[static_cast<std::size_t>(row)];
        const HotNode root = tree.empty() ? HotNode{} : tree.hot[0];
        root_visits.mutable_data()[row] = root.visits;
        root_values.mutable_data()[row] = root.value;
        num_children.mutable_data()[row] = root.num_children;
        if (root.num_children > 0) {
            const EdgeBlock block = tree.children(root);
            std::copy_n(block.visits, block.count, visits.mutable_data() + row * columns);
            std::copy_n(block.values, block.count, values.mutable_data() + row * columns);
            std::copy_n(block.priors, block.count, priors.mutable_data() + row * columns);
        }
    }
    py::dict result;
    result["visits"] = visits;
    result["values"] = values;
    result["priors"] = priors;
    result["root_visits"] = root_visits;
    result["root_values"] = root_values;
    result["num_children"] = num_children;
    return result;
}

py::array counters(const tree::SearchForest& forest) {
    const auto count = static_cast<py::ssize_t>(forest.trees().size());
    py::array_t<std::int64_t> result({py::ssize_t{5}, count});
    for (py::ssize_t index = 0; index < count; ++index) {
        const SearchTree& tree = forest.trees()[static_cast<std::size_t>(index)];
        std::int64_t* to = result.mutable_data() + index;
        to[0] = tree.simulations;
        to[count] = tree.collisions;
        to[2 * count] = static_cast<std::int64_t>(tree.hot.size());
        to[3 * count] = tree.edges.size();
        to[4 * count] = static_cast<std::int64_t>(tree.pending.size());
    }
    return result;
}

py::dict tree_arrays(tree::SearchForest& forest, std::int64_t index) {
    const auto count = static_cast<std::int64_t>(forest.trees().size());
    if (index < 0 || index >= count) {
        value_error("forest.arrays", "tree must be from 0 to " + std::to_string(count - 1) +
                                         ", got " + std::to_string(index));
    }
    const SearchTree& tree = forest.tree(index);
    py::dict result;
    result["parent"] = column<std::int32_t>(tree.hot, [](const HotNode& n) { return n.parent; });
    result["action"] =
        column<std::int32_t>(tree.hot, [](const HotNode& n) { return n.parent_edge; });
    result["visits"] = column<std::int32_t>(tree.hot, [](const HotNode& n) { return n.visits; });
    result["value"] = column<float>(tree.hot, [](const HotNode& n) { return n.value; });
    result["reward"] = column<float>(tree.hot, [](const HotNode& n) { return n.reward; });
    result["discount"] = column<float>(tree.hot, [](const HotNode& n) { return n.discount; });
    result["num_children"] =
        column<std::int32_t>(tree.hot, [](const HotNode& n) { return n.num_children; });
    result["raw_value"] = column<float>(tree.cold, [](const ColdNode& n) { return n.raw_value; });
    result["depth"] = column<std::int32_t>(tree.cold, [](const ColdNode& n) { return n.depth; });
    result["to_play"] =
        column<std::int32_t>(tree.cold, [](const ColdNode& n) { return n.to_play; });
    result["terminal"] = column<bool>(tree.cold, [](const ColdNode& n) { return n.terminal; });
    result["awaiting"] = column<bool>(tree.cold, [](const ColdNode& n) { return n.awaiting; });
    result["edge_visits"] = edge_column(tree, &EdgeBlock::visits);
    result["edge_value"] = edge_column(tree, &EdgeBlock::values);
    result["edge_prior"] = edge_column(tree, &EdgeBlock::priors);
    result["edge_child"] = edge_column(tree, &EdgeBlock::children);
    py::array_t<std::int64_t> pending(
        {static_cast<py::ssize_t>(tree.pending.size()), py::ssize_t{5}});
    std::int64_t* to = pending.mutable_data();
    for (const PendingLeaf& leaf : tree.pending) {
        for (const std::int64_t entry :
             {static_cast<std::int64_t>(leaf.serial), static_cast<std::int64_t>(leaf.parent),
              static_cast<std::int64_t>(leaf.edge), static_cast<std::int64_t>(leaf.node),
              static_cast<std::int64_t>(leaf.expanded)}) {
            *to++ = entry;
        }
    }
    result["pending"] = pending;
    const std::vector<std::int64_t> counts{static_cast<std::int64_t>(tree.key), tree.epoch,
                                           tree.next_serial, tree.simulations, tree.collisions};
    result["counters"] = column<std::int64_t>(counts, [](std::int64_t count) { return count; });
    const std::vector<float> range{tree.low, tree.high};
    result["range"] = column<float>(range, [](float value) { return value; });
    result["gumbel"] = column<float>(tree.gumbel, [](float value) { return value; });
    result["given_gumbel"] = column<float>(tree.given_gumbel, [](float value) { return value; });
    return result;
}

}  // namespace ipse::bindings
