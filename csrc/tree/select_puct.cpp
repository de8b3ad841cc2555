#include "tree/select_puct.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "tree/lanes.h"

namespace ipse::tree {
namespace {

// Value q becomes (q - low) / width.
struct Scale {
    float low = 0.0F;
    float width = 1.0F;

    template <class T>
    T operator()(T q) const noexcept {
        return (q - low) / width;
    }
};

template <class T>
T clamped(T z) noexcept {
    z = z < T{} ? T{} : z;
    return z > T{} + 1.0F ? T{} + 1.0F : z;
}

// Four children from `first` on; in the last group lanes past the end are unvisited.
struct Group {
    Ints visits;
    Floats values;
    Floats priors;
};

template <bool whole>
Group load_group(const EdgeBlock& block, std::int32_t first) noexcept {
    Group group{load(block.visits + first), load(block.values + first), load(block.priors + first)};
    if constexpr (!whole) {
        const Ints inside = lane_numbers(first) < all(block.count);
        group.visits = inside ? group.visits : all(0);
        group.values = inside ? group.values : all(0.0F);
        group.priors = inside ? group.priors : all(0.0F);
    }
    return group;
}

// body(group, first, whole) over all children, four at a time.
template <class Body>
void for_groups(const EdgeBlock& block, const Body& body) noexcept {
    std::int32_t first = 0;
    for (; first + lanes <= block.count; first += lanes) {
        body(load_group<true>(block, first), first, std::true_type{});
    }
    if (first < block.count) {
        body(load_group<false>(block, first), first, std::false_type{});
    }
}

// mctx's range: the node's own value and those of its visited children.
Scale sibling_scale(const Rules& rules, const EdgeBlock& block, float own) noexcept {
    Floats low = all(own);
    Floats high = low;
    for_groups(block, [&](const Group& group, std::int32_t, auto) {
        const Floats values = group.visits > all(0) ? group.values : all(own);
        low = values < low ? values : low;
        high = values > high ? values : high;
    });
    const float least = smallest(low);
    return {least, std::max(largest(high) - least, rules.smallest_range)};
}

Scale scale_of(const Step& step, const EdgeBlock& block) noexcept {
    const Rules& rules = step.rules;
    if (rules.normalisation == Normalisation::siblings) {
        return sibling_scale(rules, block, step.hot().value);
    }
    const float range = step.tree.high - step.tree.low;
    if (rules.normalisation == Normalisation::tree && range > 0.0F) {
        return {step.tree.low, std::max(range, rules.smallest_range)};
    }
    return {0.0F, 1.0F};
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
    if (step.rules.unvisited == Unvisited::lowest) {
        return 0.0F;
    }
    if (step.rules.unvisited == Unvisited::walk_mean) {
        step.walk_mean = mean_of_walk(step, block);
        return scale(step.walk_mean);
    }
    return scale(step.hot().value);
}

// The terms of the score that are the same for all children.
struct Terms {
    Scale scale;
    float unvisited;
    float factor;
    float virtual_loss;
    const std::uint16_t* in_flight;
};

// What differs between searches but not between children: decided once for each node.
template <bool parallel, bool clamp>
struct Variant {
    // T and I are a float and an int, or four of each: one formula, the same bits.
    template <class T, class I>
    static T score(const Terms& terms, I visits, I flights, T value, T prior) noexcept {
        T scaled = terms.scale(value);
        T unvisited = T{} + terms.unvisited;
        if constexpr (clamp) {
            scaled = clamped(scaled);
            unvisited = clamped(unvisited);
        }
        T z = visits > I{} ? scaled : unvisited;
        I count = visits;
        if constexpr (parallel) {
            count = visits + flights;
            const I whole = count > I{} ? count : I{} + 1;
            z = z - terms.virtual_loss * to_float(flights) / to_float(whole);
        }
        return z + terms.factor * prior / (to_float(count) + 1.0F);
    }

    static float score_of(const Terms& terms, const EdgeBlock& block, std::int32_t child) noexcept {
        const std::int32_t flights = parallel ? terms.in_flight[child] : 0;
        return score(terms, block.visits[child], flights, block.values[child], block.priors[child]);
    }

    // The child to take. A masked one scores -infinity or NaN and never wins.
    static std::int32_t choose(const Step& step, const Terms& terms,
                               const EdgeBlock& block) noexcept {
        Floats highest = all(-std::numeric_limits<float>::infinity());
        Ints where = all(0);
        for_groups(block, [&](const Group& group, std::int32_t first, auto whole) {
            const Ints flights = parallel ? load(terms.in_flight + first) : all(0);
            const Floats scores = score(terms, group.visits, flights, group.values, group.priors);
            Ints better = scores > highest;
            if constexpr (!decltype(whole)::value) {
                better = better & (lane_numbers(first) < all(block.count));
            }
            highest = better ? scores : highest;
            where = better ? lane_numbers(first) : where;
        });
        const float best = largest(highest);
        const Ints last = all(std::numeric_limits<std::int32_t>::max());
        const std::int32_t first = smallest(highest == all(best) ? where : last);
        return break_tie(step, first, best,
                         [&](std::int32_t child) { return score_of(terms, block, child); });
    }
};

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
    if (step.rules.clamp) {
        return step.parallel ? Variant<true, true>::choose(step, terms, block)
                             : Variant<false, true>::choose(step, terms, block);
    }
    return step.parallel ? Variant<true, false>::choose(step, terms, block)
                         : Variant<false, false>::choose(step, terms, block);
}

}  // namespace ipse::tree
