// Children come after their parents, so one sweep up and one sweep down suffice.
#include "tree/process_rewards.h"

#include <limits>

namespace ipse::tree {

void reasoning_distances(const FinishedTree& tree, std::int64_t* distances, bool* hits) noexcept {
    // Up: right leaves and everything above them. A node's parent is final before the parent's
    // own turn, as all ids below it have passed.
    for (std::int64_t node = 0; node < tree.count; ++node) {
        hits[node] = tree.ended[node] && tree.correct[node];
        distances[node] = hits[node] ? 1 : 0;
    }
    for (std::int64_t node = tree.count - 1; node > 0; --node) {
        const std::int64_t parent = tree.parents[node];
        const std::int64_t through = distances[node] + 1;
        // A right leaf stays at 1 whatever was hung below it.
        const bool leaf = tree.ended[parent] && tree.correct[parent];
        if (hits[node] && !leaf) {
            hits[parent] = true;
            if (distances[parent] == 0 || through < distances[parent]) {
                distances[parent] = through;
            }
        }
    }
    // Up once more: negative where only wrong answers lie at or below.
    for (std::int64_t node = tree.count - 1; node >= 0; --node) {
        if (distances[node] == 0 && tree.ended[node]) {
            distances[node] = -1;
        }
        if (node > 0 && distances[node] < 0 && distances[tree.parents[node]] == 0) {
            distances[tree.parents[node]] = -1;
        }
    }
    // Down: those are as far away as the last good node they left.
    for (std::int64_t node = 0; node < tree.count; ++node) {
        if (distances[node] < 0) {
            distances[node] = node == 0 ? 0 : distances[tree.parents[node]];
        }
    }
}

void quality_values(const FinishedTree& tree, const std::int64_t* distances, const bool* hits,
                    double* values) noexcept {
    for (std::int64_t node = 0; node < tree.count; ++node) {
        if (node == 0) {
            values[node] = 0.0;
        } else if (distances[node] == 0) {
            values[node] = std::numeric_limits<double>::quiet_NaN();
        } else {
            const double above = values[tree.parents[node]];
            const double step = (1.0 - above) / static_cast<double>(distances[node]);
            const double value = above + (hits[node] ? step : -step);
            values[node] = value > 0.0 ? value : 0.0;
        }
    }
}

}  // namespace ipse::tree
