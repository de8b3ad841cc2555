#include "tree/backup.h"

#include <cmath>
#include <limits>

namespace ipse::tree {
namespace {

HotNode& at(SearchTree& tree, std::int32_t node) noexcept {
    return tree.hot[static_cast<std::size_t>(node)];
}

// The value of the best visited child, or the node's own where none was visited.
float best_child_value(const SearchTree& tree, const HotNode& node) noexcept {
    const EdgeBlock block = tree.children(node);
    float best = node.value;
    bool any = false;
    for (std::int32_t child = 0; child < block.count; ++child) {
        if (block.visits[child] > 0 && (!any || block.values[child] > best)) {
            best = block.values[child];
            any = true;
        }
    }
    return best;
}

// MCTS*: the children's mean by visits; the node's own first value is forgotten.
float weighted_child_value(const SearchTree& tree, const HotNode& node) noexcept {
    const EdgeBlock block = tree.children(node);
    float sum = 0.0F;
    float visits = 0.0F;
    for (std::int32_t child = 0; child < block.count; ++child) {
        const auto count = static_cast<float>(block.visits[child]);
        sum += count * block.values[child];
        visits += count;
    }
    return visits > 0.0F ? sum / visits : node.value;
}

// Brings the edge that leads to the node up to date and returns reward + discount * value.
float update_edge(SearchTree& tree, const HotNode& node) noexcept {
    const float value = node.reward + node.discount * node.value;
    if (node.parent >= 0) {
        const EdgeBlock block = tree.children(node.parent);
        block.visits[node.parent_edge] = node.visits;
        block.values[node.parent_edge] = value;
    }
    tree.update_range(value);
    return value;
}

// From a node that is up to date to the root; `value` is what the walk returned there.
void back_up(const Rules& rules, SearchTree& tree, std::int32_t leaf, float value) noexcept {
    std::int32_t index = leaf;
    for (;;) {
        const HotNode& child = at(tree, index);
        update_edge(tree, child);
        if (child.parent < 0) {
            return;
        }
        value = child.reward + child.discount * value;
        index = child.parent;
        HotNode& node = at(tree, index);
        const auto visits = static_cast<float>(node.visits);
        if (rules.backup == Backup::mean) {
            node.value = (node.value * visits + value) / (visits + 1.0F);
        } else if (rules.backup == Backup::max) {
            node.value = best_child_value(tree, node);
        } else {
            node.value = weighted_child_value(tree, node);
        }
        ++node.visits;
    }
}

// MCTS* moves the value of the best child, which then counts as visited, towards a rollout's.
void blend_rollout(const Rules& rules, const EdgeBlock& block, float rollout) noexcept {
    std::int32_t best = 0;
    for (std::int32_t child = 1; child < block.count; ++child) {
        best = block.values[child] > block.values[best] ? child : best;
    }
    const float own = block.values[best];
    block.values[best] = (1.0F - rules.rollout_weight) * own + rules.rollout_weight * rollout;
    ++block.visits[best];
}

}  // namespace

void back_up_evaluation(const Rules& rules, SearchTree& tree, std::int32_t index, float value,
                        float rollout) noexcept {
    HotNode& node = at(tree, index);
    ColdNode& cold = tree.cold[static_cast<std::size_t>(index)];
    const bool first = cold.awaiting;
    cold.awaiting = false;
    cold.raw_value = value;
    node.value = value;
    if (node.parent < 0 && first) {
        node.visits = rules.root_visits;
        node.value = rules.root_value ? value : 0.0F;
    } else {
        // A rollout may have counted the edge as visited before its node existed.
        node.visits = tree.children(node.parent).visits[node.parent_edge] + 1;
    }
    if (rules.backup == Backup::weighted && node.num_children > 0) {
        if (!std::isnan(rollout)) {
            blend_rollout(rules, tree.children(node), rollout);
        }
        node.value = weighted_child_value(tree, node);
    }
    if (node.parent < 0) {
        if (rules.root_value) {
            tree.update_range(node.value);
        }
        return;
    }
    back_up(rules, tree, index, rules.backup == Backup::mean ? value : node.value);
}

void back_up_terminal(const Rules& rules, SearchTree& tree, std::int32_t index) noexcept {
    HotNode& node = at(tree, index);
    ++node.visits;
    back_up(rules, tree, index, node.value);
}

void change_in_flight(SearchTree& tree, std::int32_t parent, std::int32_t edge,
                      std::int32_t change) noexcept {
    while (parent >= 0) {
        const HotNode& node = at(tree, parent);
        std::uint16_t& count = tree.in_flight[static_cast<std::size_t>(node.edges + edge)];
        count = static_cast<std::uint16_t>(count + change);
        edge = node.parent_edge;
        parent = node.parent;
    }
}

}  // namespace ipse::tree
