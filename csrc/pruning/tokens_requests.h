// What the bindings ask of token subsets. Shared by all instruction sets.
#pragma once

#include <cstdint>

#include "base/matrix.h"

namespace ipse {

// N samples of T tokens of D adjacent values.
struct TokenBlock {
    void* data = nullptr;
    DType dtype = DType::float32;
    std::int64_t samples = 0;
    std::int64_t tokens = 0;
    std::int64_t width = 0;
    std::int64_t sample_stride = 0;  // in values
    std::int64_t token_stride = 0;
};

// The chosen tokens of each sample, and all of them. Which of the two is read depends on the
// operation.
struct TokenSubset {
    TokenBlock all;
    TokenBlock chosen;
    const std::int64_t* indices{};  // (N, K), C order
    const void* fill = nullptr;     // (D,): what tokens that are not chosen become
    int threads = 1;
};

// Each returns the first sample with an index that is out of range (for scatter also: that
// comes twice), of which the results mean nothing; -1 where there is none.
struct TokensTable {
    std::int64_t (*gather)(const TokenSubset&);   // chosen = all[indices]
    std::int64_t (*scatter)(const TokenSubset&);  // all = fill, all[indices] = chosen
    std::int64_t (*add)(const TokenSubset&);      // all = 0, all[indices] += chosen
};

}  // namespace ipse
