// How an operation is cut into strips of columns, and what scratch a worker needs for one.
#pragma once

#include <cstdint>

#include "base/panels.h"
#include "base/workspace.h"
#include "cross_correlation/columns.h"

namespace ipse::IPSE_ISA {

// From this many multiplications on work is shared: two threads then take two thirds of the
// time of one (9 us against 13 us forward, measured with the pool awake). At half of it they
// save 1.5 us, less than waking a sleeping pool costs.
constexpr double serial_work = 1 << 17;

// For a * b * c multiplications; in double, since sizes that a later allocation refuses come by.
inline int useful_threads(std::int64_t a, std::int64_t b, std::int64_t c, int threads) noexcept {
    const double work = static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c);
    return work < serial_work ? 1 : threads;
}

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

// One aligned allocation, cut into equal shares for the workers.
template <class E>
class Shares {
public:
    Shares(std::int64_t workers, std::int64_t elements)
        // Whole cache lines, so that neighbouring workers do not share one.
        : each_((elements * static_cast<std::int64_t>(sizeof(E)) + 63) / 64 * 64),
          room_(Workspace::elements(workers, each_)) {}

    E* operator[](std::int64_t worker) const noexcept {
        return reinterpret_cast<E*>(static_cast<char*>(room_.data()) + worker * each_);
    }

private:
    std::int64_t each_;
    Workspace room_;
};

}  // namespace ipse::IPSE_ISA
