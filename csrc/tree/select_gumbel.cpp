#include "tree/select_gumbel.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ipse::tree {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float lowest_score = -1e9F;

float largest(const float* values, std::int32_t count) noexcept {
    return *std::max_element(values, values + count);
}

// In place; -infinity becomes 0.
void softmax(float* values, std::int32_t count) noexcept {
    const float top = largest(values, count);
    float sum = 0.0F;
    for (std::int32_t child = 0; child < count; ++child) {
        values[child] = std::exp(values[child] - top);
        sum += values[child];
    }
    for (std::int32_t child = 0; child < count; ++child) {
        values[child] /= sum;
    }
}

// What an unvisited child is worth: the raw value and the visited children's mean by prior.
float mixed_value(const Step& step, const float* probabilities) noexcept {
    const float raw = step.tree.cold[static_cast<std::size_t>(step.node)].raw_value;
    if (!step.rules.mixed_value) {
        return raw;
    }
    const EdgeBlock block = step.children();
    constexpr float tiny = std::numeric_limits<float>::min();
    std::int32_t visits = 0;
    float mass = 0.0F;
    for (std::int32_t child = 0; child < block.count; ++child) {
        visits += block.visits[child];
        mass += block.visits[child] > 0 ? std::max(tiny, probabilities[child]) : 0.0F;
    }
    float mean = 0.0F;
    for (std::int32_t child = 0; child < block.count; ++child) {
        if (block.visits[child] > 0) {
            mean += std::max(tiny, probabilities[child]) * block.values[child] / mass;
        }
    }
    const auto total = static_cast<float>(visits);
    return (raw + total * mean) / (total + 1.0F);
}

std::int32_t visits_of(const EdgeBlock& block, const std::uint16_t* in_flight,
                       std::int32_t child) noexcept {
    return block.visits[child] + (in_flight == nullptr ? 0 : in_flight[child]);
}

std::int32_t choose_interior(const Step& step, const float* sigmas, float* scores) noexcept {
    const EdgeBlock block = step.children();
    const std::uint16_t* in_flight = step.in_flight();
    std::int32_t total = 0;
    for (std::int32_t child = 0; child < block.count; ++child) {
        scores[child] = block.priors[child] + sigmas[child];
        total += visits_of(block, in_flight, child);
    }
    softmax(scores, block.count);
    for (std::int32_t child = 0; child < block.count; ++child) {
        const auto visits = static_cast<float>(visits_of(block, in_flight, child));
        scores[child] -= visits / (1.0F + static_cast<float>(total));
    }
    const float best = largest(scores, block.count);
    const auto first =
        static_cast<std::int32_t>(std::find(scores, scores + block.count, best) - scores);
    return break_tie(step, first, best, [&](std::int32_t child) { return scores[child]; });
}

// The considered child of highest score among those with `visits`; -1 if there is none.
std::int32_t best_with_visits(const Step& step, const float* scores, std::int32_t visits) noexcept {
    const EdgeBlock block = step.children();
    std::int32_t first = -1;
    for (std::int32_t child = 0; child < block.count; ++child) {
        if (visits_of(block, step.in_flight(), child) == visits && scores[child] > -infinity &&
            (first < 0 || scores[child] > scores[first])) {
            first = child;
        }
    }
    return first;
}

std::int32_t choose_root(const Step& step, const std::int32_t* halving, const float* sigmas,
                         float* scores) noexcept {
    const EdgeBlock block = step.children();
    const Rules& rules = step.rules;
    const float top = largest(block.priors, block.count);
    std::int32_t total = 0;
    std::int32_t valid = 0;
    std::int32_t fewest = std::numeric_limits<std::int32_t>::max();
    for (std::int32_t child = 0; child < block.count; ++child) {
        const bool masked = block.priors[child] == -infinity;
        const std::int32_t visits = visits_of(block, step.in_flight(), child);
        scores[child] = masked ? -infinity
                               : gumbel_score(step.tree.gumbel[static_cast<std::size_t>(child)],
                                              block.priors[child] - top, sigmas[child]);
        total += visits;
        valid += masked ? 0 : 1;
        fewest = masked ? fewest : std::min(fewest, visits);
    }
    const std::int32_t row = std::min(rules.num_considered, valid);
    const std::int32_t column = std::min(total, rules.num_simulations - 1);
    const std::int32_t child =
        best_with_visits(step, scores, halving[row * rules.num_simulations + column]);
    // Counts off the schedule (a reused subtree, a cancelled leaf): the least visited.
    return child >= 0 ? child : best_with_visits(step, scores, fewest);
}

}  // namespace

float gumbel_score(float gumbel, float logit, float sigma) noexcept {
    return std::max(lowest_score, gumbel + logit + sigma);
}

void completed_values(const Step& step, float* sigmas, float* probabilities) noexcept {
    const EdgeBlock block = step.children();
    const Rules& rules = step.rules;
    std::copy(block.priors, block.priors + block.count, probabilities);
    softmax(probabilities, block.count);
    const float unvisited = mixed_value(step, probabilities);
    std::int32_t most = 0;
    float low = infinity;
    float high = -infinity;
    for (std::int32_t child = 0; child < block.count; ++child) {
        sigmas[child] = block.visits[child] > 0 ? block.values[child] : unvisited;
        most = std::max(most, block.visits[child]);
        low = std::min(low, sigmas[child]);
        high = std::max(high, sigmas[child]);
    }
    const float scale = (rules.c_visit + static_cast<float>(most)) * rules.c_scale;
    const float width = std::max(high - low, rules.smallest_range);
    for (std::int32_t child = 0; child < block.count; ++child) {
        const float q = rules.rescale_values ? (sigmas[child] - low) / width : sigmas[child];
        sigmas[child] = scale * q;
    }
}

std::int32_t choose_gumbel(const Step& step, const std::int32_t* halving) noexcept {
    float* sigmas = step.scratch;
    float* scores = step.scratch + step.hot().num_children;
    completed_values(step, sigmas, scores);
    return step.depth == 0 ? choose_root(step, halving, sigmas, scores)
                           : choose_interior(step, sigmas, scores);
}

}  // namespace ipse::tree
