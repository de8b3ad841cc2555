// Sums of exponentials that are shifted by the largest logit so far, and how a larger one joins.
#pragma once

#include <cstdint>
#include <limits>

#include "base/exp.h"
#include "base/simd.h"

namespace ipse::IPSE_ISA {

// Running sums of one direction in one slot, each as long as the direction, padded.
template <class T>
struct RunningSums {
    T* top = nullptr;       // what logits are shifted by: the largest so far, or fixed
    T* sum = nullptr;       // of exp(logit - top)
    T* mean = nullptr;      // of exp(logit - top) * similarity
    T* positive = nullptr;  // of the positives' similarities
    const T* scale = nullptr;
};

// Raises the tops of `count` lines from `first` on to those of a tile, where these are larger;
// what has been summed so far is brought to the new scale. Leaves these factors in `tops`.
template <class T>
void raise_tops_of(const RunningSums<T>& sums, std::int64_t first, std::int64_t count,
                   T* tops) noexcept {
    constexpr int lanes = Simd<T>::lanes;
    for (std::int64_t i = 0; i < count; i += lanes) {
        alignas(IPSE_VECTOR_BYTES) T before[lanes];
        alignas(IPSE_VECTOR_BYTES) T after[lanes];
        const std::int64_t present = count - i < lanes ? count - i : lanes;
        for (std::int64_t lane = 0; lane < lanes; ++lane) {
            const T old = sums.top[first + i + lane];
            const T fresh = lane < present ? tops[i + lane] : old;
            const T top = fresh > old ? fresh : old;
            // Nothing seen yet: sums of zero, whatever they are multiplied by.
            const bool none = old == -std::numeric_limits<T>::infinity();
            before[lane] = none ? T{0} : old;
            after[lane] = none ? T{0} : top;
            sums.top[first + i + lane] = top;
        }
        const Vector<T> factor = exponential<T>(load(before) - load(after));
        store(sums.sum + first + i, load(sums.sum + first + i) * factor);
        store(sums.mean + first + i, load(sums.mean + first + i) * factor);
        store(tops + i, factor);
    }
}

}  // namespace ipse::IPSE_ISA
