// Counter-based random numbers: a draw is a function of its key alone, so results depend on
// neither threads nor the other trees of a batch.
//
// SplitMix64's finaliser (Steele, Lea and Flood, 2014), folded over the parts of the key.
#pragma once

#include <cmath>
#include <cstdint>

namespace ipse::tree {

// What a number is drawn for; part of every key.
enum class Purpose : std::uint64_t { tie = 1, dirichlet = 2, gumbel = 3 };

inline std::uint64_t mix(std::uint64_t bits) noexcept {
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9U;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebU;
    return bits ^ (bits >> 31);
}

inline std::uint64_t fold(std::uint64_t key, std::uint64_t part) noexcept {
    return mix((key ^ part) + 0x9e3779b97f4a7c15U);
}

// Numbers drawn one after the other from one key.
class RandomStream {
public:
    explicit RandomStream(std::uint64_t key) noexcept : key_(key) {}

    std::uint64_t bits() noexcept { return fold(key_, counter_++); }

    // In (0, 1), never its ends: logarithms of it are finite.
    double uniform() noexcept { return (static_cast<double>(bits() >> 11) + 0.5) * 0x1p-53; }

    // Box and Muller; the second number is thrown away, so that the stream has no state but
    // its counter.
    double normal() noexcept {
        const double radius = std::sqrt(-2.0 * std::log(uniform()));
        return radius * std::cos(6.283185307179586 * uniform());
    }

    // Marsaglia and Tsang (2000), with their boost below shape 1.
    double gamma(double shape) noexcept {
        if (shape < 1.0) {
            const double boost = std::pow(uniform(), 1.0 / shape);
            return gamma(shape + 1.0) * boost;
        }
        const double d = shape - 1.0 / 3.0;
        const double c = 1.0 / std::sqrt(9.0 * d);
        for (;;) {
            const double x = normal();
            const double v = (1.0 + c * x) * (1.0 + c * x) * (1.0 + c * x);
            if (v > 0.0 && std::log(uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) {
                return d * v;
            }
        }
    }

private:
    std::uint64_t key_;
    std::uint64_t counter_ = 0;
};

}  // namespace ipse::tree
