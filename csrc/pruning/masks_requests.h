// What the bindings ask of the pruning masks. Shared by all instruction sets.
#pragma once

#include <cstdint>

#include "base/matrix.h"

namespace ipse {

// Responses (N, C), and at least so many channels of each row that stay.
struct ResponseRows {
    StridedMatrix response;
    std::int64_t keep_at_least = 0;
    int threads = 1;
};

struct MaskResult {
    bool* mask{};            // (N, C), C order
    std::int64_t* counts{};  // (N,)
};

// The largest responses while their sum stays within the share `mass` of the total.
struct MassMask {
    ResponseRows rows;
    double mass = 1.0;
    MaskResult result;
};

struct MassCurve {
    ResponseRows rows;
    const double* grid{};
    std::int64_t grid_size = 0;
    std::int64_t* counts{};  // (N, grid_size), C order
};

// The `most` largest responses of a row, of them those above 1e-5.
struct UniformMask {
    ResponseRows rows;
    std::int64_t most = 0;
    MaskResult result;
};

// Each returns the first row with a response that is negative, infinite or NaN, of which the
// results mean nothing; -1 where there is none.
struct MasksTable {
    std::int64_t (*mass_topk_mask)(const MassMask&);
    std::int64_t (*mass_curve)(const MassCurve&);
    std::int64_t (*uniform_topk_mask)(const UniformMask&);
};

}  // namespace ipse
