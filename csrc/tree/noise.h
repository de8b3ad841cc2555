// Chance at the root: Dirichlet noise on the priors, Gumbel variables of its actions.
#pragma once

#include "tree/rules.h"
#include "tree/search_tree.h"

namespace ipse::tree {

// Called once a tree has a (new) root. Room for its Gumbel variables must be there.
void prepare_root(const Rules& rules, SearchTree& tree) noexcept;

}  // namespace ipse::tree
