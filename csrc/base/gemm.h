// A plain matrix product through the tile GEMM: what the tests and bench/gemm.py
// call, and the simplest example of an epilogue.
#pragma once

#include "base/matrix.h"

namespace ipse {

struct GemmRequest {
    StridedMatrix left;       // (M, K), any dtype
    StridedMatrix right;      // (N, K), any dtype; a transposed view gives the other forms
    StridedMatrix out;        // (M, N), float32 or float64 (all three float64 or none)
    bool symmetric = false;   // right is left: compute the upper triangle and mirror it
    bool accumulate = false;  // out += instead of out =
    int threads = 1;
};

// out (+)= left * right^T. Extra memory: both operands packed, (M + N) K elements,
// or `threads` copies of out where that is smaller.
void gemm(const GemmRequest& request);

}  // namespace ipse
