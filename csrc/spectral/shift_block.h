// One frequency's block of a map that commutes with shifts by 1/shifts of the period
// (shift_block.cpp).
#pragma once

#include <complex>
#include <cstdint>
#include <vector>

#include "spectral/fourier_axis.h"

namespace ipse {

// Shifts that an axis is divided by: a power of two up to 32 that divides both sizes.
constexpr int most_shifts = 32;

class ShiftBlock {
public:
    ShiftBlock(const DenseAxis& axis, int shifts, int frequency);

    std::int64_t rows;
    std::int64_t depth;

    double at(std::int64_t p, std::int64_t k) const {
        return values_[static_cast<std::size_t>(p * depth + k)];
    }

private:
    std::vector<double> values_;
};

// What a sampled sine measures, as weights for the folded residues of its one frequency, 0 or
// shifts / 2; `line` is odd or even under a shift.
std::vector<double> shift_measure(const std::vector<double>& line, int shifts);

}  // namespace ipse
