// From the root to the next leaf.
#pragma once

#include <cstdint>
#include <vector>

#include "tree/rules.h"
#include "tree/search_tree.h"

namespace ipse::tree {

// What all walks of a forest share: the rules and tables computed from them once.
struct Guide {
    explicit Guide(const Rules& chosen);

    Rules rules;
    std::vector<float> factors;         // puct_factor of 0, 1, ... visits
    std::vector<std::int32_t> halving;  // see halving_table
};

enum class WalkEnd : std::uint8_t { leaf, terminal, collision };

struct Walk {
    WalkEnd end = WalkEnd::collision;
    std::int32_t parent = -1;
    std::int32_t edge = -1;
    std::int32_t node = -1;  // where the leaf is a node already: terminal, or at max_depth
    std::int32_t depth = 0;
};

// Follows the rule from the root of a tree that has one. `scratch` as in Step.
Walk walk(const Guide& guide, const SearchTree& tree, float* scratch) noexcept;

}  // namespace ipse::tree
