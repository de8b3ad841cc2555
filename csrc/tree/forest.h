// Many trees stepped together. Nothing here checks its arguments: the bindings did.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tree/search_tree.h"
#include "tree/walk.h"

namespace ipse::tree {

// A ticket names a leaf that was handed out: the tree above, its serial number below.
inline std::int64_t make_ticket(std::int64_t tree, std::uint32_t serial) noexcept {
    return static_cast<std::int64_t>((static_cast<std::uint64_t>(tree) << 32) | serial);
}
inline std::size_t tree_of(std::int64_t ticket) noexcept {
    return static_cast<std::size_t>(static_cast<std::uint64_t>(ticket) >> 32);
}
inline std::uint32_t serial_of(std::int64_t ticket) noexcept {
    return static_cast<std::uint32_t>(static_cast<std::uint64_t>(ticket));
}

// pending: to be expanded; known: a node evaluated once more; expanded: its value is missing;
// done: told or cancelled.
enum class TicketState : std::uint8_t { unknown, pending, known, expanded, done };

struct SelectedLeaf {
    std::int64_t ticket;
    std::int32_t tree;
    std::int32_t parent;  // -1 at the root
    std::int32_t action;
    std::int32_t node;  // where a known node is evaluated again at max_depth, else -1
    std::int32_t depth;
    float value;  // of the edge, as its parent's expansion gave it
};

// What an evaluator says of leaves; null pointers mean the defaults named.
struct Evaluations {
    std::int64_t count = 0;
    const std::int64_t* tickets = nullptr;
    const std::int32_t* num_children = nullptr;
    const std::int64_t* offsets = nullptr;  // of each leaf's children in the arrays below
    const float* priors = nullptr;          // uniform
    bool logits = false;                    // whether `priors` are logits
    const float* child_values = nullptr;    // 0
    const float* rewards = nullptr;         // 0
    const float* discounts = nullptr;       // Rules::discount
    const bool* terminal = nullptr;         // false
    const std::int32_t* to_play = nullptr;  // that of the parent
    const float* values = nullptr;          // null: expansion only
    const float* rollouts = nullptr;        // none
};

class SearchForest {
public:
    SearchForest(std::int64_t num_trees, const Rules& rules);

    const Rules& rules() const noexcept { return guide_.rules; }
    const std::vector<SearchTree>& trees() const noexcept { return trees_; }
    SearchTree& tree(std::int64_t index) noexcept {
        return trees_[static_cast<std::size_t>(index)];
    }

    // Up to `width` walks in each tree that has fewer than `limit` simulations behind it or in
    // flight. A walk to a terminal node is backed up at once and yields no leaf; one that meets
    // a pending leaf, or a tree that is full, yields none and ends the tree's turn.
    const std::vector<SelectedLeaf>& select(std::int32_t width, std::int64_t limit, int threads);

    TicketState state_of(std::int64_t ticket) const noexcept;

    // Gives pending leaves their node, and, with values, backs them up. Leaves that are done
    // are passed over; how many were not is returned. Trees change only if memory sufficed.
    std::int64_t accept(const Evaluations& evaluations, int threads);

    // Takes pending leaves back, with every trace of theirs.
    void cancel(const std::int64_t* tickets, std::int64_t count) noexcept;

    // The subtree below an action of the root becomes the tree; its pending leaves are
    // cancelled. Returns the new id of every old node, -1 where it is gone.
    std::vector<std::int32_t> reroot(std::int64_t tree, std::int32_t action);

    // sigma(completed q) of the root's actions under Gumbel, into `sigmas`.
    void root_sigmas(std::int64_t tree, float* sigmas);

    // Call after a tree was filled from outside.
    void note_width(std::int32_t children) noexcept;

    std::size_t bytes() const noexcept;

private:
    std::int32_t select_in(std::int64_t tree, std::int32_t width, std::int64_t limit,
                           float* scratch, SelectedLeaf* slots) noexcept;
    void make_room_for(const Evaluations& evaluations, const std::vector<std::int64_t>& order);
    void accept_one(const Evaluations& evaluations, std::int64_t index) noexcept;
    std::vector<std::vector<float>>& scratch_for(int threads);

    Guide guide_;
    std::vector<SearchTree> trees_;
    std::vector<SelectedLeaf> selected_;
    std::vector<std::vector<float>> scratch_;
    std::int32_t widest_ = 1;
};

}  // namespace ipse::tree
