// Sums that end in double, in a fixed order.
#pragma once

#include <cstdint>

#include "base/simd.h"

namespace ipse::IPSE_ISA {

namespace detail {

// a . b in vector lanes of T for short runs, in double between them.
template <class T>
double dot(const T* a, const T* b, std::int64_t count) noexcept {
    constexpr int lanes = Simd<T>::lanes;
    constexpr std::int64_t run = 8 * lanes;
    double total = 0.0;
    std::int64_t i = 0;
    while (i + lanes <= count) {
        Vector<T> sum{};
        for (const std::int64_t end = i + run; i < end && i + lanes <= count; i += lanes) {
            sum += load(a + i) * load(b + i);
        }
        for (int lane = 0; lane < lanes; ++lane) {
            total += static_cast<double>(sum[lane]);
        }
    }
    for (; i < count; ++i) {
        total += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    }
    return total;
}

inline double sum_of(const double* values, std::int64_t count) noexcept {
    double total = 0.0;
    for (std::int64_t i = 0; i < count; ++i) {
        total += values[i];
    }
    return total;
}

}  // namespace detail

}  // namespace ipse::IPSE_ISA
