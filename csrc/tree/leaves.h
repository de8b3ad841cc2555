// The life of a leaf in its tree: handed out, expanded, told or taken back.
#pragma once

#include <cstdint>

#include "tree/rules.h"
#include "tree/search_tree.h"
#include "tree/walk.h"

namespace ipse::tree {

struct Evaluations;

constexpr std::int64_t most_pending = 65535;  // in-flight counts have 16 bits

// Memory for `width` more leaves, or for nodes with so many edges in all; both may throw and
// change nothing that is seen from outside.
void make_room_for_leaves(SearchTree& tree, std::int32_t width);
void make_room_for_nodes(SearchTree& tree, std::size_t nodes, std::int64_t edges);

// Whether every node the rules allow exists or is pending.
bool is_full(const Rules& rules, const SearchTree& tree) noexcept;

// The leaf of a serial number, null once it is done.
PendingLeaf* find_pending(SearchTree& tree, std::uint32_t serial) noexcept;
const PendingLeaf* find_pending(const SearchTree& tree, std::uint32_t serial) noexcept;

const PendingLeaf& add_pending(SearchTree& tree, const Walk& walk) noexcept;

// Writes the in-flight counts of leaves that do not have them yet: a tree with one leaf at a
// time never pays for them.
void mark_pending(SearchTree& tree) noexcept;

// Forgets the leaf and its in-flight counts.
void remove_pending(SearchTree& tree, PendingLeaf& leaf) noexcept;

// Makes the edge of a leaf that was not expanded free again.
void release_edge(SearchTree& tree, const PendingLeaf& leaf) noexcept;

// Makes the node of a leaf and its edges.
void expand_leaf(const Rules& rules, SearchTree& tree, PendingLeaf& leaf,
                 const Evaluations& evaluations, std::int64_t index) noexcept;

}  // namespace ipse::tree
