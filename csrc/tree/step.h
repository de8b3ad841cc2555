// What a rule sees of one node when it chooses among the children.
#pragma once

#include <cstdint>

#include "tree/random.h"
#include "tree/rules.h"
#include "tree/search_tree.h"

namespace ipse::tree {

struct Step {
    const Rules& rules;
    const SearchTree& tree;
    std::int32_t node;
    std::int32_t depth;
    bool parallel;    // leaves of this tree are in flight
    float walk_mean;  // of the node above (see Unvisited::walk_mean); updated by the rule
    float* scratch;   // two floats for each child of the widest node

    const HotNode& hot() const noexcept { return tree.hot[static_cast<std::size_t>(node)]; }
    EdgeBlock children() const noexcept { return tree.children(hot()); }

    // Visits in flight of the node's children; null where there are none.
    const std::uint16_t* in_flight() const noexcept {
        return parallel ? tree.in_flight.data() + hot().edges : nullptr;
    }

    std::int32_t total_in_flight() const noexcept {
        std::int32_t total = 0;
        if (const std::uint16_t* flights = in_flight(); flights != nullptr) {
            for (std::int32_t child = 0; child < hot().num_children; ++child) {
                total += flights[child];
            }
        }
        return total;
    }

    // Picks one of `count` equals.
    std::int32_t draw(std::int32_t count) const noexcept {
        std::uint64_t key = fold(rules.seed, static_cast<std::uint64_t>(Purpose::tie));
        key = fold(fold(key, tree.key), tree.epoch);
        key = fold(key, static_cast<std::uint64_t>(node));
        key = fold(key, static_cast<std::uint64_t>(hot().visits + total_in_flight()));
        return static_cast<std::int32_t>(key % static_cast<std::uint64_t>(count));
    }
};

// The lowest index with score(index) == best, or a random one of them by the rule for ties.
template <class Score>
std::int32_t break_tie(const Step& step, std::int32_t first, float best, const Score& score) {
    if (step.rules.ties == Ties::first) {
        return first;
    }
    const std::int32_t count = step.hot().num_children;
    std::int32_t equals = 0;
    for (std::int32_t child = first; child < count; ++child) {
        equals += score(child) == best ? 1 : 0;
    }
    std::int32_t left = equals > 1 ? step.draw(equals) : 0;
    for (std::int32_t child = first; child < count; ++child) {
        if (score(child) == best && left-- == 0) {
            return child;
        }
    }
    return first;
}

}  // namespace ipse::tree
