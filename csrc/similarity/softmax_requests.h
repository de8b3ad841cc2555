// What the contrastive losses ask of the similarity engine. No code here: every instruction
// set shares these definitions.
#pragma once

#include <cstdint>

#include "base/matrix.h"

namespace ipse {

// Columns that a row does not see.
enum class Exclude : std::uint8_t {
    none,
    self,    // column i of row i
    sample,  // every column j with j % samples == i % samples
};

// Up to two matrices on top of each other, (N1 + N2, D).
struct Stack {
    StridedMatrix part[2];
    int parts = 0;

    std::int64_t rows() const noexcept {
        return (parts > 0 ? part[0].rows : 0) + (parts > 1 ? part[1].rows : 0);
    }
    std::int64_t cols() const noexcept { return part[0].cols; }
};

// Columns of the (rows, 3) float64 results.
enum SumColumn : std::uint8_t {
    logsumexp_column,  // of the visible logits
    positives_column,  // sum of similarities with the same sample's other columns
    mean_column,       // softmax-weighted mean of the similarities
    sum_columns,
};

// Logits of row i and column j: scale_i * similarity_ij.
struct SoftmaxRequest {
    Stack rows;
    Stack columns;                  // no parts: the rows against themselves, each pair once
    const double* scale = nullptr;  // one, or one for each row
    bool scale_per_row = false;
    bool normalize = true;
    Exclude exclude = Exclude::none;
    std::int64_t samples = 0;  // positives: columns j with j % samples == i % samples; 0: none
    bool mean = false;         // fill mean_column too
    double* row_sums = nullptr;
    double* column_sums = nullptr;  // the other direction as well; null: not wanted
    int threads = 1;
};

struct SoftmaxGradientRequest {
    SoftmaxRequest forward;                    // with the sums that forward has filled
    const double* row_weights = nullptr;       // (M) d objective / d logsumexp
    const double* positive_weights = nullptr;  // (M) d objective / d positives
    const double* column_weights = nullptr;    // (K); null: none
    Stack grad_rows;     // as rows; a part with null data is not wanted
    Stack grad_columns;  // as columns
};

struct SigmoidRequest {
    StridedMatrix rows;     // (N, D)
    StridedMatrix columns;  // (N, D)
    double scale = 1.0;
    double bias = 0.0;
    int threads = 1;
};

struct SigmoidGradientRequest {
    SigmoidRequest forward;
    double grad = 1.0;
    StridedMatrix grad_rows;  // null data: not wanted
    StridedMatrix grad_columns;
    double* grad_scale = nullptr;  // one value each, always filled
    double* grad_bias = nullptr;
};

struct SimilarityTable {
    void (*softmax_forward)(const SoftmaxRequest&);
    void (*softmax_backward)(const SoftmaxGradientRequest&);
    double (*sigmoid_forward)(const SigmoidRequest&);
    void (*sigmoid_backward)(const SigmoidGradientRequest&);
};

}  // namespace ipse
