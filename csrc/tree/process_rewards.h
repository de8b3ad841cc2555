// What a finished tree says about its steps (ReST-MCTS*, Zhang et al. 2024, sections 3.1, 3.2).
#pragma once

#include <cstdint>

namespace ipse::tree {

struct FinishedTree {
    std::int64_t count = 0;
    const std::int64_t* parents = nullptr;  // -1 at the root, which is first; below their ids
    const bool* ended = nullptr;            // leaves that finish a solution
    const bool* correct = nullptr;          // which of those are right
};

// Steps still missing to a right answer, plus one (1 on right leaves), into `distances`, 0 where
// the tree does not tell; whether a right answer lies at or below each node, into `hits`.
void reasoning_distances(const FinishedTree& tree, std::int64_t* distances, bool* hits) noexcept;

// Quality values v = max(0, v_parent + (1 - v_parent) s / distance), s = 1 on hits, else -1;
// NaN where the distance is unknown. The root's is 0.
void quality_values(const FinishedTree& tree, const std::int64_t* distances, const bool* hits,
                    double* values) noexcept;

}  // namespace ipse::tree
