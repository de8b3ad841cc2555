#include "tree/walk.h"

#include <algorithm>

#include "tree/halving.h"
#include "tree/select_gumbel.h"
#include "tree/select_puct.h"
#include "tree/select_uct.h"
#include "tree/step.h"

namespace ipse::tree {
namespace {

constexpr std::int32_t num_factors = 4096;

std::int32_t choose(const Guide& guide, Step& step) noexcept {
    switch (guide.rules.selection) {
        case Selection::uct:
            return choose_uct(step);
        case Selection::gumbel:
            return choose_gumbel(step, guide.halving.data());
        case Selection::puct:
            break;
    }
    return choose_puct(step, guide.factors.data(), num_factors);
}

bool is_pending(const SearchTree& tree, std::int32_t node) noexcept {
    for (const PendingLeaf& leaf : tree.pending) {
        if (leaf.node == node) {
            return true;
        }
    }
    return false;
}

}  // namespace

Guide::Guide(const Rules& chosen) : rules(chosen) {
    if (rules.selection == Selection::puct) {
        factors.reserve(num_factors);
        for (std::int32_t visits = 0; visits < num_factors; ++visits) {
            factors.push_back(puct_factor(rules, visits));
        }
    } else if (rules.selection == Selection::gumbel) {
        halving = halving_table(rules.num_considered, rules.num_simulations);
    }
}

Walk walk(const Guide& guide, const SearchTree& tree, float* scratch) noexcept {
    const bool parallel = !tree.pending.empty();
    Step step{guide.rules, tree, 0, 0, parallel, 0.0F, scratch};
    if (tree.cold[0].awaiting) {
        return {};
    }
    if (tree.hot[0].num_children == 0) {
        return {WalkEnd::terminal, -1, -1, 0, 0};
    }
    for (;;) {
        const std::int32_t edge = choose(guide, step);
        const EdgeBlock block = step.children();
        const std::int32_t child = block.children[edge];
        const std::int32_t depth = step.depth + 1;
        if (child == no_child) {
            return {WalkEnd::leaf, step.node, edge, -1, depth};
        }
        tree.prefetch(std::max(child, 0), block.count);
        if (child == pending_child ||
            (parallel && tree.cold[static_cast<std::size_t>(child)].awaiting)) {
            return {};
        }
        if (tree.hot[static_cast<std::size_t>(child)].num_children == 0) {
            return {WalkEnd::terminal, step.node, edge, child, depth};
        }
        if (depth >= guide.rules.max_depth) {
            const bool known = parallel && is_pending(tree, child);
            return known ? Walk{} : Walk{WalkEnd::leaf, step.node, edge, child, depth};
        }
        step.node = child;
        step.depth = depth;
    }
}

}  // namespace ipse::tree
