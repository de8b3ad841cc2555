// The discrete Fourier transform of many sequences at once, one in each lane.
//
// Stockham's form: each stage reads one array and writes another in the order the next one
// wants, so nothing is ever permuted. Any length; a large prime factor p costs O(p) a value.
#pragma once

#include <cstdint>

#include "base/isa.h"
#include "spectral/fft_butterflies.h"
#include "spectral/fft_plan.h"
#include "spectral/lanes.h"

namespace ipse::IPSE_ISA {
namespace detail {

// Where a stage reads and writes: elements `step` apart; `blocks` butterflies of different
// twiddles, each on `inner` neighbours.
template <class L>
struct FftStage {
    const Complex<L>* from;
    std::int64_t from_step;
    Complex<L>* to;
    std::int64_t to_step;
    std::int64_t blocks;
    std::int64_t inner;
};

template <int radix, bool twiddled, class L>
inline void run_block(const FftStage<L>& stage, std::int64_t block,
                      const typename L::Scalar* twiddles) noexcept {
    const std::int64_t apart = stage.inner * stage.blocks * stage.from_step;
    const std::int64_t to_apart = stage.inner * stage.to_step;
    const Complex<L>* from = stage.from + block * stage.inner * stage.from_step;
    Complex<L>* to = stage.to + block * radix * to_apart;
    for (std::int64_t q = 0; q < stage.inner; ++q) {
        Complex<L> a[radix];
#pragma GCC unroll 8
        for (int i = 0; i < radix; ++i) {
            a[i] = from[i * apart];
        }
        butterfly(a);
        to[0] = a[0];
#pragma GCC unroll 8
        for (int k = 1; k < radix; ++k) {
            to[k * to_apart] = twiddled ? turned(a[k], twiddles + 2 * (k - 1)) : a[k];
        }
        from += stage.from_step;
        to += stage.to_step;
    }
}

template <int radix, class L>
inline void run_stage(const FftStage<L>& stage, const typename L::Scalar* twiddles) noexcept {
    run_block<radix, false>(stage, 0, twiddles);
    for (std::int64_t block = 1; block < stage.blocks; ++block) {
        run_block<radix, true>(stage, block, twiddles + block * 2 * (radix - 1));
    }
}

// Outputs k ... k + count - 1 of an odd butterfly, and their mirrors: sums over the pairs.
template <int count, class L>
inline void odd_outputs(std::int64_t half, const typename L::Scalar* roots, const Complex<L>& first,
                        const Complex<L>* pairs, Complex<L> (&low)[count],
                        Complex<L> (&high)[count]) noexcept {
    Complex<L> cosine[count];
    Complex<L> sine[count] = {};
#pragma GCC unroll 4
    for (int k = 0; k < count; ++k) {
        cosine[k] = first;
    }
    for (std::int64_t j = 0; j < half; ++j) {
        const Complex<L> sum = pairs[2 * j];
        const Complex<L> difference = pairs[2 * j + 1];
#pragma GCC unroll 4
        for (int k = 0; k < count; ++k) {
            const typename L::Scalar* root = roots + 2 * (k * half + j);
            cosine[k].re += root[0] * sum.re;
            cosine[k].im += root[0] * sum.im;
            sine[k].re += root[1] * difference.re;
            sine[k].im += root[1] * difference.im;
        }
    }
#pragma GCC unroll 4
    for (int k = 0; k < count; ++k) {
        low[k] = minus_i(cosine[k], sine[k]);
        high[k] = plus_i(cosine[k], sine[k]);
    }
}

template <int count, bool twiddled, class L>
inline void write_odd(std::int64_t radix, std::int64_t k, const typename L::Scalar* roots,
                      const typename L::Scalar* twiddles, const Complex<L>& first,
                      const Complex<L>* pairs, Complex<L>* to, std::int64_t apart) noexcept {
    const std::int64_t half = (radix - 1) / 2;
    Complex<L> low[count];
    Complex<L> high[count];
    odd_outputs<count>(half, roots + 2 * (k - 1) * half, first, pairs, low, high);
#pragma GCC unroll 4
    for (int i = 0; i < count; ++i) {
        const std::int64_t mirror = radix - k - i;
        if constexpr (twiddled) {
            low[i] = turned(low[i], twiddles + 2 * (k + i - 1));
            high[i] = turned(high[i], twiddles + 2 * (mirror - 1));
        }
        to[(k + i) * apart] = low[i];
        to[mirror * apart] = high[i];
    }
}

template <bool twiddled, class L>
inline void run_odd_block(std::int64_t radix, const FftStage<L>& stage, std::int64_t block,
                          const typename L::Scalar* twiddles, const typename L::Scalar* roots,
                          Complex<L>* pairs) noexcept {
    const std::int64_t apart = stage.inner * stage.blocks * stage.from_step;
    const std::int64_t to_apart = stage.inner * stage.to_step;
    const std::int64_t half = (radix - 1) / 2;
    const Complex<L>* from = stage.from + block * stage.inner * stage.from_step;
    Complex<L>* to = stage.to + block * radix * to_apart;
    for (std::int64_t q = 0; q < stage.inner; ++q) {
        const Complex<L> first = from[0];
        Complex<L> total = first;
        for (std::int64_t j = 1; j <= half; ++j) {
            const Complex<L> low = from[j * apart];
            const Complex<L> high = from[(radix - j) * apart];
            pairs[2 * j - 2] = low + high;
            pairs[2 * j - 1] = low - high;
            total = total + pairs[2 * j - 2];
        }
        to[0] = total;
        std::int64_t k = 1;
        for (; k + 2 <= half; k += 3) {
            write_odd<3, twiddled>(radix, k, roots, twiddles, first, pairs, to, to_apart);
        }
        for (; k <= half; ++k) {
            write_odd<1, twiddled>(radix, k, roots, twiddles, first, pairs, to, to_apart);
        }
        from += stage.from_step;
        to += stage.to_step;
    }
}

// Any odd radix; `pairs` is room for radix - 1 values.
template <class L>
inline void run_odd_stage(std::int64_t radix, const FftStage<L>& stage,
                          const typename L::Scalar* twiddles, const typename L::Scalar* roots,
                          Complex<L>* pairs) noexcept {
    run_odd_block<false>(radix, stage, 0, twiddles, roots, pairs);
    for (std::int64_t block = 1; block < stage.blocks; ++block) {
        run_odd_block<true>(radix, stage, block, twiddles + block * 2 * (radix - 1), roots, pairs);
    }
}

}  // namespace detail

// Elements of the scratch that fft() wants for this length.
constexpr std::int64_t fft_scratch(std::int64_t length) noexcept {
    return 3 * length;
}

// to = transform of from, exp(-2 pi i j k / length), elements from_step and to_step apart. The
// two may be one array.
template <class L>
[[gnu::noinline]] void fft(const FftPlan<typename L::Scalar>& plan, const Complex<L>* from,
                           std::int64_t from_step, Complex<L>* to, std::int64_t to_step,
                           Complex<L>* scratch) noexcept {
    const std::int64_t length = plan.length();
    Complex<L>* pairs = scratch + 2 * length;
    detail::FftStage<L> stage{from, from_step, nullptr, 0, length, 1};
    for (int i = 0; i < plan.stages(); ++i) {
        const bool last = i + 1 == plan.stages();
        stage.to = last ? to : scratch + (i % 2) * length;
        stage.to_step = last ? to_step : 1;
        const std::int64_t radix = plan.radix(i);
        stage.blocks /= radix;
        switch (radix) {
            case 2:
                detail::run_stage<2>(stage, plan.twiddles(i));
                break;
            case 3:
                detail::run_stage<3>(stage, plan.twiddles(i));
                break;
            case 4:
                detail::run_stage<4>(stage, plan.twiddles(i));
                break;
            case 5:
                detail::run_stage<5>(stage, plan.twiddles(i));
                break;
            case 8:
                detail::run_stage<8>(stage, plan.twiddles(i));
                break;
            default:
                detail::run_odd_stage(radix, stage, plan.twiddles(i), plan.roots(i), pairs);
        }
        stage.inner *= radix;
        stage.from = stage.to;
        stage.from_step = stage.to_step;
    }
}

}  // namespace ipse::IPSE_ISA
