// One search tree in flat arrays. A node exists only once it was evaluated; ids are positions,
// never change, and children come after their parents.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "tree/edge_store.h"

namespace ipse::tree {

// What every walk and every backup touches: half a cache line.
struct alignas(32) HotNode {
    std::int32_t visits = 0;
    float value = 0.0F;
    float reward = 0.0F;    // of the edge that leads here
    float discount = 1.0F;  // of that edge; negative where the player changes
    std::int32_t parent = -1;
    std::int32_t parent_edge = -1;
    std::int32_t edges = 0;  // offset of the block of children
    std::int32_t num_children = 0;
};

struct ColdNode {
    float raw_value = 0.0F;  // as the evaluator told it
    std::int32_t depth = 0;
    std::int32_t to_play = 0;
    bool terminal = false;
    bool awaiting = false;  // expanded, its value not yet told
};

// A leaf that was handed out and not yet told.
struct PendingLeaf {
    std::uint32_t serial = 0;
    std::int32_t parent = -1;
    std::int32_t edge = -1;
    std::int32_t node = -1;     // once expanded, or where a known node is evaluated again
    std::int32_t marked = 0;    // whether its path carries in-flight counts
    std::int32_t expanded = 0;  // node was made for this leaf
};

struct SearchTree {
    std::vector<HotNode> hot;
    std::vector<ColdNode> cold;
    EdgeStore edges;
    // Visits in flight of each edge: made when a second leaf of the tree is wanted at once.
    std::vector<std::uint16_t> in_flight;
    std::vector<PendingLeaf> pending;  // ascending serials
    std::vector<float> gumbel;         // of the root's actions
    std::vector<float> given_gumbel;   // used instead of drawn ones, if set
    std::uint64_t key = 0;             // of its random numbers
    std::uint32_t epoch = 0;           // how often it was re-rooted
    std::uint32_t next_serial = 0;
    std::int64_t simulations = 0;
    std::int64_t collisions = 0;
    float low = std::numeric_limits<float>::infinity();  // range of values on paths backed up
    float high = -std::numeric_limits<float>::infinity();

    bool empty() const noexcept { return hot.empty(); }

    EdgeBlock children(const HotNode& node) const noexcept {
        return edges.block(node.edges, node.num_children);
    }

    EdgeBlock children(std::int32_t node) const noexcept {
        return children(hot[static_cast<std::size_t>(node)]);
    }

    // Asks for a node and, in trees of one width throughout, its children: two misses at once
    // where the second would wait for the first.
    void prefetch(std::int32_t node, std::int32_t width) const noexcept {
        __builtin_prefetch(hot.data() + node);
        edges.prefetch(static_cast<std::int64_t>(node) * width, width);
    }

    void update_range(float value) noexcept {
        low = value < low ? value : low;
        high = value > high ? value : high;
    }

    std::size_t bytes() const noexcept {
        return hot.capacity() * sizeof(HotNode) + cold.capacity() * sizeof(ColdNode) +
               edges.bytes() + in_flight.capacity() * sizeof(std::uint16_t) +
               pending.capacity() * sizeof(PendingLeaf);
    }
};

// Capacity for `extra` more without giving up amortised growth.
template <class T>
void make_room(std::vector<T>& items, std::size_t extra) {
    const std::size_t needed = items.size() + extra;
    if (needed > items.capacity()) {
        const auto least = static_cast<std::size_t>(first_nodes);
        items.reserve(std::max({needed, least, items.capacity() * 3 / 2}));
    }
}

}  // namespace ipse::tree
