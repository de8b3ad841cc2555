// One axis of the low-frequency crop as a real matrix, exact for every pair of sizes.
#pragma once

#include <cstdint>
#include <vector>

namespace ipse {

// A dense map of one axis, C order, and for even crops the vectors of its rank-one term.
struct DenseAxis {
    std::int64_t n_in = 0;
    std::int64_t n_out = 0;
    std::vector<double> matrix;   // (n_out, n_in)
    std::vector<double> measure;  // (n_in) or empty
    std::vector<double> emit;     // (n_out) or empty
};

// sin(2 pi n / d), the argument reduced as integers.
double sine_of_turns(std::int64_t n, std::int64_t d);

// Keeps the frequencies -b..b-1 of n_in values where n_out = 2b, -b..b where n_out = 2b + 1.
DenseAxis fourier_axis(std::int64_t n_in, std::int64_t n_out);

}  // namespace ipse
