// How an operation is cut into strips of columns, and what scratch a worker needs for one.
#pragma once

#include <cstdint>

#include "base/panels.h"
#include "base/shares.h"
#include "cross_correlation/columns.h"

namespace ipse::IPSE_ISA {

// A cut of all D columns into strips of whole panels.
template <class T>
struct StripPlan {
    std::int64_t samples;
    std::int64_t features;
    std::int64_t panels_each;

    // Strips of about `elements` values of one view, at least `least` and at most 256
    // columns wide, and enough of them to give every thread one.
    StripPlan(std::int64_t n, std::int64_t d, std::int64_t elements, std::int64_t least,
              int threads) noexcept
        : samples(n), features(d) {
        std::int64_t columns = elements / n;
        columns = columns < least ? least : columns;
        columns = columns > 256 ? 256 : columns;
        const std::int64_t share = (d + threads - 1) / threads;
        columns = columns > share ? share : columns;
        panels_each = panel_count<T>(columns);
    }

    std::int64_t width() const noexcept { return panels_each * Panel<T>::rows; }
    std::int64_t count() const noexcept { return (features + width() - 1) / width(); }
    std::int64_t view_elements() const noexcept { return width() * samples; }

    Strip<T> strip(std::int64_t index, T* view1, T* view2,
                   ColumnStatistics* statistics) const noexcept {
        const std::int64_t first = index * width();
        const std::int64_t columns = features - first < width() ? features - first : width();
        return {first, columns, samples, {view1, view2}, statistics};
    }
};

}  // namespace ipse::IPSE_ISA
