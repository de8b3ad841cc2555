// What a search is: how a child is chosen, how values travel up, where chance enters.
// Plain numbers; the bindings have checked their ranges.
#pragma once

#include <cstdint>
#include <limits>

namespace ipse::tree {

enum class Selection : std::uint8_t { puct, uct, gumbel };
enum class Normalisation : std::uint8_t { none, siblings, tree };
enum class Unvisited : std::uint8_t { lowest, parent, walk_mean };
enum class Backup : std::uint8_t { mean, max, weighted };
enum class Ties : std::uint8_t { first, random };

struct Rules {
    Selection selection = Selection::puct;
    Normalisation normalisation = Normalisation::siblings;
    Unvisited unvisited = Unvisited::lowest;
    Backup backup = Backup::mean;
    Ties ties = Ties::first;

    // PUCT: sqrt(N - visit_offset) (c_init + ln((N - visit_offset + c_base + 1) / c_base)) P/(n+1);
    // an infinite c_base leaves the logarithm out.
    float c_init = 1.25F;
    float c_base = 19652.0F;
    std::int32_t visit_offset = 0;
    float smallest_range = 1e-8F;  // floor of (max - min) when values are normalised
    bool clamp = false;            // normalised values into [0, 1]

    // UCT and MCTS*: value + exploration sqrt(log_factor ln N / n), or + first_visit_bonus at n =
    // 0.
    float exploration = 1.4142135F;
    float log_factor = 1.0F;
    float first_visit_bonus = std::numeric_limits<float>::infinity();

    // Gumbel with sequential halving.
    std::int32_t num_considered = 16;
    std::int32_t num_simulations = 32;
    float c_visit = 50.0F;
    float c_scale = 0.1F;
    float gumbel_scale = 1.0F;
    bool rescale_values = true;
    bool mixed_value = true;

    // Root noise of PUCT; fraction 0 is none.
    float dirichlet_alpha = 0.3F;
    float dirichlet_fraction = 0.0F;

    float virtual_loss = 1.0F;  // taken from a child's value, times its share of visits in flight
    float rollout_weight = 0.5F;
    std::int32_t root_visits = 1;  // visits the root's own evaluation counts for
    bool root_value = true;        // whether its value enters the root's mean
    float discount = 1.0F;
    std::int32_t max_depth = std::numeric_limits<std::int32_t>::max();
    std::int32_t max_nodes = 1 << 20;
    std::uint64_t seed = 0;
};

}  // namespace ipse::tree
