// How a discrete Fourier transform of some length is cut into stages, and its constants.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/isa.h"

namespace ipse::IPSE_ISA {

// The radices that have a butterfly of their own; every other one is an odd prime.
constexpr bool has_butterfly(std::int64_t radix) noexcept {
    return radix == 2 || radix == 3 || radix == 4 || radix == 5 || radix == 8;
}

struct FftStages {
    static constexpr int most = 48;  // more than the factors of any 63-bit length
    int count = 0;
    std::int64_t radix[most] = {};
};

// Powers of two go by 8, and by 4 or 2 for what is left; then the odd primes.
inline FftStages factor_length(std::int64_t length) noexcept {
    FftStages stages;
    int twos = 0;
    for (; length % 2 == 0; length /= 2) {
        ++twos;
    }
    while (twos > 0) {
        const int step = twos == 4 || twos == 2 ? 2 : (twos < 3 ? twos : 3);
        stages.radix[stages.count++] = std::int64_t{1} << step;
        twos -= step;
    }
    for (std::int64_t prime = 3; length > 1; prime += 2) {
        if (prime * prime > length) {
            prime = length;
        }
        for (; length % prime == 0; length /= prime) {
            stages.radix[stages.count++] = prime;
        }
    }
    return stages;
}

// exp(-2 pi i j k / radix) for an odd radix: cosines and sines for j, k = 1 ... (radix - 1) / 2.
constexpr std::int64_t root_elements(std::int64_t radix) noexcept {
    return has_butterfly(radix) ? 0 : (radix - 1) / 2 * ((radix - 1) / 2) * 2;
}

template <class T>
class FftPlan {
public:
    FftPlan() = default;

    // Constants that a plan of this length needs room for.
    static std::int64_t elements(std::int64_t length) noexcept {
        const FftStages stages = factor_length(length);
        std::int64_t total = 0;
        for (int i = 0; i < stages.count; ++i) {
            total += 2 * length + root_elements(stages.radix[i]);
        }
        return total;
    }

    FftPlan(std::int64_t length, T* room) noexcept
        : length_(length), stages_(factor_length(length)) {
        std::int64_t rest = length;
        for (int i = 0; i < stages_.count; ++i) {
            const std::int64_t radix = stages_.radix[i];
            twiddles_[i] = room;
            for (std::int64_t p = 0; p < rest / radix; ++p) {
                for (std::int64_t k = 1; k < radix; ++k) {
                    room = write_root(p * k, rest, room);
                }
            }
            roots_[i] = room;
            if (!has_butterfly(radix)) {
                for (std::int64_t k = 1; 2 * k < radix; ++k) {
                    for (std::int64_t j = 1; 2 * j < radix; ++j) {
                        room = write_root(j * k % radix, radix, room);
                    }
                }
            }
            rest /= radix;
        }
    }

    std::int64_t length() const noexcept { return length_; }
    int stages() const noexcept { return stages_.count; }
    std::int64_t radix(int stage) const noexcept { return stages_.radix[stage]; }
    // (cos, sin) of 2 pi p k / rest for p < rest / radix, k = 1 ... radix - 1.
    const T* twiddles(int stage) const noexcept { return twiddles_[stage]; }
    const T* roots(int stage) const noexcept { return roots_[stage]; }

private:
    static T* write_root(std::int64_t numerator, std::int64_t denominator, T* to) noexcept {
        constexpr double two_pi = 6.283185307179586476925286766559;
        const double angle =
            two_pi * static_cast<double>(numerator) / static_cast<double>(denominator);
        to[0] = static_cast<T>(std::cos(angle));
        to[1] = static_cast<T>(std::sin(angle));
        return to + 2;
    }

    std::int64_t length_ = 1;
    FftStages stages_;
    const T* twiddles_[FftStages::most] = {};
    const T* roots_[FftStages::most] = {};
};

}  // namespace ipse::IPSE_ISA
