// Where a maximum is, and what the gradient by it needs to know of a channel.
#pragma once

#include <cstdint>

#include "base/simd.h"

namespace ipse::IPSE_ISA {

// Where the largest of a stream of values came first, lane by lane.
template <class T, class V>
struct FirstLargest {
    using Bits = typename Simd<T>::Bits;

    V largest;
    Bits where{};

    void offer(V values, Bits valid, Bits positions) noexcept {
        const Bits better = (values > largest) & valid;
        largest = better ? values : largest;
        where = better ? positions : where;
    }

    // Over all lanes.
    std::int64_t position() const noexcept {
        int best = 0;
        for (int lane = 1; lane < Simd<T>::lanes; ++lane) {
            const bool above = largest[lane] > largest[best];
            const bool sooner = largest[lane] == largest[best] && where[lane] < where[best];
            best = above || sooner ? lane : best;
        }
        return where[best];
    }
};

// What arrives at one channel beside grad_out, and what is found out about it.
template <class T>
struct ChannelGradient {
    T every{};        // at every position
    T by_response{};  // at the strongest position
    T by_pooled{};    // at the highest position
    std::int64_t strongest = 0;
    std::int64_t highest = 0;
    double sum = 0.0;         // of what arrives at z
    double sum_with_x = 0.0;  // of that times x
};

// Some channels in vectors; of a single one the values are the same in all lanes.
template <class T, int vectors>
struct ChannelCoefficients {
    Vector<T> scale[vectors];
    Vector<T> shift[vectors];
    Vector<T> every[vectors];
    typename Simd<T>::Bits kept[vectors];
};

}  // namespace ipse::IPSE_ISA
