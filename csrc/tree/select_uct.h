// UCT, and the value-first UCB of MCTS*: value + c sqrt(k ln N / n), a bonus at n = 0.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "tree/step.h"

namespace ipse::tree {

// An unvisited child has the value it was given when its parent was expanded (0 if none).
inline std::int32_t choose_uct(const Step& step) noexcept {
    const Rules& rules = step.rules;
    const EdgeBlock block = step.children();
    const std::uint16_t* in_flight = step.in_flight();
    const std::int32_t total = std::max(step.hot().visits + step.total_in_flight(), 1);
    const float spread = rules.log_factor * std::log(static_cast<float>(total));
    const auto score_of = [&](std::int32_t child) {
        if (block.priors[child] < 0.0F) {
            return -std::numeric_limits<float>::infinity();  // masked
        }
        const std::int32_t flights = in_flight == nullptr ? 0 : in_flight[child];
        const std::int32_t visits = block.visits[child] + flights;
        if (visits == 0) {
            return block.values[child] + rules.first_visit_bonus;
        }
        const auto count = static_cast<float>(visits);
        const float loss = rules.virtual_loss * static_cast<float>(flights) / count;
        return block.values[child] - loss + rules.exploration * std::sqrt(spread / count);
    };
    std::int32_t first = 0;
    float best = -std::numeric_limits<float>::infinity();
    for (std::int32_t child = 0; child < block.count; ++child) {
        if (const float score = score_of(child); score > best) {
            best = score;
            first = child;
        }
    }
    return break_tie(step, first, best, score_of);
}

}  // namespace ipse::tree
