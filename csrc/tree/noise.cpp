#include "tree/noise.h"

#include <cmath>

#include "tree/random.h"

namespace ipse::tree {
namespace {

std::uint64_t stream_key(const Rules& rules, const SearchTree& tree, Purpose purpose,
                         std::int32_t child) noexcept {
    std::uint64_t key = fold(rules.seed, static_cast<std::uint64_t>(purpose));
    key = fold(fold(key, tree.key), tree.epoch);
    return fold(key, static_cast<std::uint64_t>(child));
}

double gamma_of(const Rules& rules, const SearchTree& tree, std::int32_t child) noexcept {
    RandomStream stream(stream_key(rules, tree, Purpose::dirichlet, child));
    return stream.gamma(static_cast<double>(rules.dirichlet_alpha));
}

// p <- (1 - f) p + f Dirichlet(alpha), over the actions that are not masked.
void add_dirichlet(const Rules& rules, const SearchTree& tree, const EdgeBlock& block) noexcept {
    double sum = 0.0;
    for (std::int32_t child = 0; child < block.count; ++child) {
        sum += block.priors[child] < 0.0F ? 0.0 : gamma_of(rules, tree, child);
    }
    if (!(sum > 0.0)) {
        return;  // every draw underflowed: a concentration next to nothing
    }
    const auto fraction = static_cast<double>(rules.dirichlet_fraction);
    for (std::int32_t child = 0; child < block.count; ++child) {
        float& prior = block.priors[child];
        if (!(prior < 0.0F)) {
            const double noise = gamma_of(rules, tree, child) / sum;
            prior = static_cast<float>((1.0 - fraction) * static_cast<double>(prior) +
                                       fraction * noise);
        }
    }
}

void draw_gumbel(const Rules& rules, SearchTree& tree, std::int32_t count) noexcept {
    tree.gumbel.resize(static_cast<std::size_t>(count));
    for (std::int32_t child = 0; child < count; ++child) {
        const auto index = static_cast<std::size_t>(child);
        if (index < tree.given_gumbel.size()) {
            tree.gumbel[index] = tree.given_gumbel[index];
            continue;
        }
        RandomStream stream(stream_key(rules, tree, Purpose::gumbel, child));
        const double draw = -std::log(-std::log(stream.uniform()));
        tree.gumbel[index] = rules.gumbel_scale * static_cast<float>(draw);
    }
}

}  // namespace

void prepare_root(const Rules& rules, SearchTree& tree) noexcept {
    const EdgeBlock block = tree.children(0);
    if (rules.selection == Selection::gumbel) {
        draw_gumbel(rules, tree, block.count);
    } else if (rules.dirichlet_fraction > 0.0F && block.count > 0) {
        add_dirichlet(rules, tree, block);
    }
}

}  // namespace ipse::tree
