// How the value of a leaf changes the nodes above it.
#pragma once

#include <cstdint>

#include "tree/rules.h"
#include "tree/search_tree.h"

namespace ipse::tree {

// A leaf was evaluated: its value is set (or set anew), everything above is updated.
// `rollout` is the best value seen in a rollout from its best child; NaN for none.
void back_up_evaluation(const Rules& rules, SearchTree& tree, std::int32_t node, float value,
                        float rollout) noexcept;

// A walk ended on a terminal node: one more visit on the whole path.
void back_up_terminal(const Rules& rules, SearchTree& tree, std::int32_t node) noexcept;

// Adds `change` (1 or -1) to the in-flight counts on the way from an edge to the root.
void change_in_flight(SearchTree& tree, std::int32_t parent, std::int32_t edge,
                      std::int32_t change) noexcept;

}  // namespace ipse::tree
