// What the bindings ask for prototype losses (SwAV, DINO). Shared by all instruction sets.
#pragma once

#include <cstdint>

#include "base/matrix.h"

namespace ipse {

// Every student view against every target view, sample by sample:
//
//   loss_v[n] = sum over i of weight[v][i] * CE(target_i[n], softmax(student_v[n] / T_s))
//
// All views are (N, K). Pairs of weight 0 are left out.
struct SoftCrossEntropyRequest {
    const StridedMatrix* students = nullptr;
    const StridedMatrix* targets = nullptr;
    int student_count = 0;
    int target_count = 0;
    const double* pair_weights = nullptr;  // (students, targets), C order
    // Targets are logits, softmax((t - center) / teacher_temperature), or probabilities as given.
    bool targets_are_logits = false;
    StridedMatrix center;  // (1, K); null data: none
    double student_temperature = 1.0;
    double teacher_temperature = 1.0;
    DType compute = DType::float32;  // float64 where any view is
    int threads = 1;
};

struct SoftCrossEntropyForward {
    SoftCrossEntropyRequest views;
    StridedMatrix losses;  // (students, N), compute type
};

struct SoftCrossEntropyBackward {
    SoftCrossEntropyRequest views;
    StridedMatrix grad_losses;                     // (students, N), compute type, any strides
    const StridedMatrix* grad_students = nullptr;  // one each; null data: not wanted
};

// Codes of SwAV: `iterations` rounds of column and row normalisation of exp(scores / epsilon).
struct SinkhornRequest {
    StridedMatrix scores;  // (B, K)
    StridedMatrix codes;   // (B, K), compute type, C order
    double epsilon = 0.05;
    int iterations = 3;
    int threads = 1;
};

struct PrototypesTable {
    void (*soft_cross_entropy_forward)(const SoftCrossEntropyForward&);
    void (*soft_cross_entropy_backward)(const SoftCrossEntropyBackward&);
    void (*sinkhorn)(const SinkhornRequest&);
};

}  // namespace ipse
