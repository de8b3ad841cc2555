// A dense map of an axis, or its even or odd part under reflection (axis_operator.cpp).
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "spectral/fourier_axis.h"

namespace ipse {

enum class Parity : std::uint8_t { none, even, odd };

// How many indices h = 0, 1, ... stand for all.
std::int64_t folded_size(std::int64_t size, Parity parity);

// The weight of a folded value: (line[h] + line[-h]) / 2 where even, (line[h] - line[-h]) / 2
// where odd, and half of either where h = -h.
double folded_value(const double* line, std::int64_t size, Parity parity, std::int64_t h);

class FoldedBlock {
public:
    FoldedBlock(const DenseAxis& axis, Parity parity);

    std::int64_t rows;
    std::int64_t depth;
    std::int64_t first = 0;  // rows outside of [first, last) are zero
    std::int64_t last = 0;

    double at(std::int64_t p, std::int64_t k) const {
        return values_[static_cast<std::size_t>(p * depth + k)];
    }

    // Rows [p_begin, p_end) are zero outside of these steps of the depth.
    std::pair<std::int64_t, std::int64_t> band(std::int64_t p_begin, std::int64_t p_end) const;

private:
    std::vector<double> values_;
};

}  // namespace ipse
