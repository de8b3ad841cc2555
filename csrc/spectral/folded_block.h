// One block C_chi of a dense map of an axis, split by its symmetries (axis_operator.cpp).
//
// The group's elements g and its characters chi are numbered by bits: bit 0 is the reflection
// h -> -h, bit 1 the shift by half a period. A group of 1 is the map itself, one of 2 has the
// reflection, one of 4 both.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "spectral/fourier_axis.h"

namespace ipse {

// How many orbits: indices h = 0 .. orbits - 1 are one of each.
std::int64_t orbits(std::int64_t size, int group);

// sum over g of chi(g) line[g h] / (G * |{g: g h = h}|)
double folded_value(const double* line, std::int64_t size, int group, int chi, std::int64_t h);

class FoldedBlock {
public:
    FoldedBlock(const DenseAxis& axis, int group, int chi);

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
