// Random subsets of tokens, one for each row, without sorting anything.
#pragma once

#include <cstdint>

namespace ipse {

struct RandomSubsets {
    std::uint64_t seed = 0;
    std::int64_t rows = 0;
    std::int64_t tokens = 0;  // at least keep
    std::int64_t keep = 0;
    std::int64_t* indices{};  // (rows, keep), C order; ascending in each row
    int threads = 1;
};

// Every subset of `keep` tokens is equally likely. Row i depends on seed and i alone.
void random_subsets(const RandomSubsets& request);

}  // namespace ipse
