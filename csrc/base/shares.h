// Who does how much: when threads pay, and scratch memory dealt out to workers.
#pragma once

#include <cstdint>

#include "base/isa.h"
#include "base/workspace.h"

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
