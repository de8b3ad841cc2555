#include "tree/select_puct.h"

#include <algorithm>
#include <cmath>

#include "tree/lanes.h"

namespace ipse::tree {
namespace {

// Value q becomes (q - low) / width.
struct Scale {
    float low = 0.0F;
    float width = 1.0F;
    bool clamp = false;

    template <class T>
    T operator()(T q) const noexcept {
        T z = (q - low) / width;
        if (clamp) {
            z = z < T{} ? T{} : z;
            z = z > T{} + 1.0F ? T{} + 1.0F : z;
        }
        return z;
    }
};

// Visit counts and values from `first` on; lanes past the last child are unvisited.
struct Group {
    Ints visits;
    Ints inside;
    Floats values;
    Floats priors;
};

Group load_group(const EdgeBlock& block, std::int32_t first) noexcept {
    Group group{load(block.visits + first), all(-1), load(block.values + first),
                load(block.priors + first)};
    if (first + lanes > block.count) {
        group.inside = lane_numbers(first) < all(block.count);
        group.visits = group.inside ? group.visits : all(0);
        group.values = group.inside ? group.values : all(0.0F);
        group.priors = group.inside ? group.priors : all(0.0F);
    }
    return group;
}

// mctx's range: the node's own value and those of its visited children.
Scale sibling_scale(const Rules& rules, const EdgeBlock& block, float own) noexcept {
    Floats low = all(own);
    Floats high = low;
    for (std::int32_t first = 0; first < block.count; first += lanes) {
        const Group group = load_group(block, first);
        const Floats values = group.visits > all(0) ? group.values : all(own);
        low = values < low ? values : low;
        high = values > high ? values : high;
    }
    const float least = std::min(std::min(low[0], low[1]), std::min(low[2], low[3]));
    const float most = std::max(std::max(high[0], high[1]), std::max(high[2], high[3]));
    return {least, std::max(most - least, rules.smallest_range), rules.clamp};
}

Scale scale_of(const Step& step, const EdgeBlock& block) noexcept {
    const Rules& rules = step.rules;
    if (rules.normalisation == Normalisation::siblings) {
        return sibling_scale(rules, block, step.hot().value);
    }
    const float range = step.tree.high - step.tree.low;
    if (rules.normalisation == Normalisation::tree && range > 0.0F) {
        return {step.tree.low, std::max(range, rules.smallest_range), rules.clamp};
    }
    return {0.0F, 1.0F, rules.clamp};
}

// LightZero's completion: visited children, and the same mean of the node above.
float mean_of_walk(const Step& step, const EdgeBlock& block) noexcept {
    float sum = 0.0F;
    std::int32_t visited = 0;
    for (std::int32_t child = 0; child < block.count; ++child) {
        if (block.visits[child] > 0) {
            sum += block.values[child];
            ++visited;
        }
    }
    if (step.depth == 0 && visited > 0) {
        return sum / to_float(visited);
    }
    const float above = step.depth == 0 ? 0.0F : step.walk_mean;
    return (above + sum) / to_float(visited + 1);
}

float unvisited_score(Step& step, const EdgeBlock& block, const Scale& scale) noexcept {
    switch (step.rules.unvisited) {
        case Unvisited::parent:
            return scale(step.hot().value);
        case Unvisited::walk_mean:
            step.walk_mean = mean_of_walk(step, block);
            return scale(step.walk_mean);
        case Unvisited::lowest:
            break;
    }
    return 0.0F;
}

// The terms of the score that are the same for all children.
struct Terms {
    Scale scale;
    float unvisited;
    float factor;
    float virtual_loss;
    const std::uint16_t* in_flight;
};

// T and I are a float and an int, or four of each: one formula, the same bits.
template <class T, class I>
T score_of(const Terms& terms, I visits, I flights, T value, T prior) noexcept {
    T z = visits > I{} ? terms.scale(value) : T{} + terms.unvisited;
    I count = visits;
    if (terms.in_flight != nullptr) {
        count = visits + flights;
        const I whole = count > I{} ? count : I{} + 1;
        z = z - terms.virtual_loss * to_float(flights) / to_float(whole);
    }
    return z + terms.factor * prior / (to_float(count) + 1.0F);
}

// First index of the highest score. A masked child scores -infinity or NaN and never wins.
std::int32_t first_best(const Terms& terms, const EdgeBlock& block, float& best) noexcept {
    Floats highest = all(-std::numeric_limits<float>::infinity());
    Ints where = all(0);
    for (std::int32_t first = 0; first < block.count; first += lanes) {
        const Group group = load_group(block, first);
        const Ints flights = terms.in_flight == nullptr ? all(0) : load(terms.in_flight + first);
        const Floats scores = score_of(terms, group.visits, flights, group.values, group.priors);
        const Ints better = (scores > highest) & group.inside;
        highest = better ? scores : highest;
        where = better ? lane_numbers(first) : where;
    }
    std::int32_t lane = 0;
    for (std::int32_t other = 1; other < lanes; ++other) {
        if (highest[other] > highest[lane] ||
            (highest[other] == highest[lane] && where[other] < where[lane])) {
            lane = other;
        }
    }
    best = highest[lane];
    return where[lane];
}

}  // namespace

float puct_factor(const Rules& rules, std::int32_t visits) noexcept {
    const float count = to_float(std::max(visits, 0));
    float rate = rules.c_init;
    if (std::isfinite(rules.c_base)) {
        rate += std::log((count + rules.c_base + 1.0F) / rules.c_base);
    }
    return std::sqrt(count) * rate;
}

std::int32_t choose_puct(Step& step, const float* factors, std::int32_t num_factors) noexcept {
    const EdgeBlock block = step.children();
    const std::int32_t visits =
        step.hot().visits + step.total_in_flight() - step.rules.visit_offset;
    Terms terms{};
    terms.scale = scale_of(step, block);
    terms.unvisited = unvisited_score(step, block, terms.scale);
    terms.factor =
        visits >= 0 && visits < num_factors ? factors[visits] : puct_factor(step.rules, visits);
    terms.virtual_loss = step.rules.virtual_loss;
    terms.in_flight = step.in_flight();
    float best = 0.0F;
    const std::int32_t first = first_best(terms, block, best);
    return break_tie(step, first, best, [&](std::int32_t child) {
        const std::int32_t flights = terms.in_flight == nullptr ? 0 : terms.in_flight[child];
        return score_of(terms, block.visits[child], flights, block.values[child],
                        block.priors[child]);
    });
}

}  // namespace ipse::tree
