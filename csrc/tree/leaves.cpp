#include "tree/leaves.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tree/backup.h"
#include "tree/forest.h"
#include "tree/lanes.h"
#include "tree/noise.h"

namespace ipse::tree {
namespace {

// Groups of four lanes may read up to three counts past the last edge.
std::size_t counts_for(std::int64_t edges) noexcept {
    return static_cast<std::size_t>(edges + lanes);
}

// The probabilities as they come; under Gumbel their logarithms.
void write_priors(const Rules& rules, const float* priors, bool logits, const EdgeBlock& block) {
    const bool as_logits = rules.selection == Selection::gumbel;
    constexpr float masked = -std::numeric_limits<float>::infinity();
    constexpr float tiny = std::numeric_limits<float>::min();
    if (priors == nullptr) {
        const float uniform = as_logits ? 0.0F : 1.0F / static_cast<float>(block.count);
        std::fill(block.priors, block.priors + block.count, uniform);
    } else if (logits == as_logits) {
        std::copy(priors, priors + block.count, block.priors);
    } else if (as_logits) {
        for (std::int32_t child = 0; child < block.count; ++child) {
            const float prior = priors[child];
            block.priors[child] = prior < 0.0F ? masked : std::log(std::max(prior, tiny));
        }
    } else {
        const float top = *std::max_element(priors, priors + block.count);
        float sum = 0.0F;
        for (std::int32_t child = 0; child < block.count; ++child) {
            block.priors[child] = std::exp(priors[child] - top);
            sum += block.priors[child];
        }
        for (std::int32_t child = 0; child < block.count; ++child) {
            block.priors[child] = priors[child] == masked ? masked : block.priors[child] / sum;
        }
    }
}

void write_edges(const Rules& rules, const Evaluations& evaluations, std::int64_t index,
                 const EdgeBlock& block) noexcept {
    if (block.count == 0) {
        return;
    }
    const std::int64_t offset = evaluations.offsets[index];
    const float* priors = evaluations.priors == nullptr ? nullptr : evaluations.priors + offset;
    write_priors(rules, priors, evaluations.logits, block);
    std::fill(block.visits, block.visits + block.count, 0);
    std::fill(block.children, block.children + block.count, no_child);
    if (evaluations.child_values == nullptr) {
        std::fill(block.values, block.values + block.count, 0.0F);
    } else {
        const float* values = evaluations.child_values + offset;
        std::copy(values, values + block.count, block.values);
    }
}

}  // namespace

void make_room_for_leaves(SearchTree& tree, std::int32_t width) {
    make_room(tree.pending, static_cast<std::size_t>(width));
    if (width > 1 || !tree.pending.empty()) {
        const std::size_t needed = counts_for(tree.edges.size());
        if (tree.in_flight.size() < needed) {
            make_room(tree.in_flight, needed - tree.in_flight.size());
            tree.in_flight.resize(needed);
        }
    }
}

void make_room_for_nodes(SearchTree& tree, std::size_t nodes, std::int64_t edges) {
    make_room(tree.hot, nodes);
    make_room(tree.cold, nodes);
    tree.edges.reserve(edges);
    if (!tree.in_flight.empty()) {
        const std::size_t needed = counts_for(tree.edges.size() + edges);
        make_room(tree.in_flight, needed - std::min(needed, tree.in_flight.size()));
    }
    if (tree.empty()) {
        make_room(tree.gumbel, static_cast<std::size_t>(edges));
    }
}

bool is_full(const Rules& rules, const SearchTree& tree) noexcept {
    auto nodes = static_cast<std::int64_t>(tree.hot.size());
    for (const PendingLeaf& leaf : tree.pending) {
        nodes += leaf.node < 0 ? 1 : 0;
    }
    return nodes >= rules.max_nodes;
}

const PendingLeaf* find_pending(const SearchTree& tree, std::uint32_t serial) noexcept {
    const auto found = std::lower_bound(
        tree.pending.begin(), tree.pending.end(), serial,
        [](const PendingLeaf& leaf, std::uint32_t wanted) { return leaf.serial < wanted; });
    const bool there = found != tree.pending.end() && found->serial == serial;
    return there ? &*found : nullptr;
}

PendingLeaf* find_pending(SearchTree& tree, std::uint32_t serial) noexcept {
    return const_cast<PendingLeaf*>(find_pending(static_cast<const SearchTree&>(tree), serial));
}

const PendingLeaf& add_pending(SearchTree& tree, const Walk& walk) noexcept {
    PendingLeaf leaf;
    leaf.serial = tree.next_serial++;
    leaf.parent = walk.parent;
    leaf.edge = walk.edge;
    leaf.node = walk.node;
    tree.pending.push_back(leaf);
    if (walk.parent >= 0 && walk.node < 0) {
        tree.children(walk.parent).children[walk.edge] = pending_child;
    }
    return tree.pending.back();
}

void mark_pending(SearchTree& tree) noexcept {
    for (PendingLeaf& leaf : tree.pending) {
        if (leaf.marked == 0) {
            change_in_flight(tree, leaf.parent, leaf.edge, 1);
            leaf.marked = 1;
        }
    }
}

void remove_pending(SearchTree& tree, PendingLeaf& leaf) noexcept {
    if (leaf.marked != 0) {
        change_in_flight(tree, leaf.parent, leaf.edge, -1);
    }
    tree.pending.erase(tree.pending.begin() + (&leaf - tree.pending.data()));
}

void release_edge(SearchTree& tree, const PendingLeaf& leaf) noexcept {
    if (leaf.node < 0 && leaf.parent >= 0) {
        tree.children(leaf.parent).children[leaf.edge] = no_child;
    }
}

void expand_leaf(const Rules& rules, SearchTree& tree, PendingLeaf& leaf,
                 const Evaluations& evaluations, std::int64_t index) noexcept {
    const auto at = static_cast<std::size_t>(index);
    HotNode hot;
    ColdNode cold;
    const bool root = leaf.parent < 0;
    const std::int32_t above = root ? 0 : tree.cold[static_cast<std::size_t>(leaf.parent)].to_play;
    cold.to_play = evaluations.to_play == nullptr ? above : evaluations.to_play[at];
    cold.terminal = evaluations.terminal != nullptr && evaluations.terminal[at];
    cold.awaiting = true;
    hot.num_children =
        cold.terminal || evaluations.num_children == nullptr ? 0 : evaluations.num_children[at];
    hot.edges = tree.edges.append(hot.num_children);
    hot.parent = leaf.parent;
    hot.parent_edge = leaf.edge;
    leaf.node = static_cast<std::int32_t>(tree.hot.size());
    leaf.expanded = 1;
    if (!root) {
        cold.depth = tree.cold[static_cast<std::size_t>(leaf.parent)].depth + 1;
        hot.reward = evaluations.rewards == nullptr ? 0.0F : evaluations.rewards[at];
        const float discount =
            evaluations.discounts == nullptr ? rules.discount : evaluations.discounts[at];
        hot.discount = cold.to_play == above ? discount : -discount;
        tree.children(leaf.parent).children[leaf.edge] = leaf.node;
    }
    tree.hot.push_back(hot);
    tree.cold.push_back(cold);
    if (!tree.in_flight.empty()) {
        tree.in_flight.resize(counts_for(tree.edges.size()));
    }
    write_edges(rules, evaluations, index, tree.children(leaf.node));
    if (root) {
        prepare_root(rules, tree);
    }
}

}  // namespace ipse::tree
