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
    StridedMatrix expected;         // (M, D) compute type: softmax-weighted mean of the columns (as
                             // they enter the product); null data: not wanted; with columns only
    int threads = 1;
};

struct SoftmaxGradientRequest {
    SoftmaxRequest forward;                    // with the sums that forward has filled
    const double* row_weights = nullptr;       // (M) d objective / d logsumexp
    const double* positive_weights = nullptr;  // (M) d objective / d positives
    const double* column_weights = nullptr;    // (K); null: none
    Stack grad_rows;                           // as rows; a part with null data is not wanted
    Stack grad_columns;                        // as columns
};

// Every pair is a question of its own, with logit scale * similarity + bias: positives (as
// above, none where samples is 0) should be answered yes, all others no.
struct SigmoidRequest {
    Stack rows;
    Stack columns;
    double scale = 1.0;
    double bias = 0.0;
    std::int64_t samples = 0;
    int threads = 1;
};

struct SigmoidGradientRequest {
    SigmoidRequest forward;
    double grad = 1.0;  // d objective / d sum
    Stack grad_rows;    // a part with null data is not wanted
    Stack grad_columns;
    double* grad_scale_bias = nullptr;  // two values, always filled
};

struct SimilarityTable {
    void (*softmax_forward)(const SoftmaxRequest&);
    void (*softmax_backward)(const SoftmaxGradientRequest&);
    double (*sigmoid_forward)(const SigmoidRequest&);
    void (*sigmoid_backward)(const SigmoidGradientRequest&);
};

}  // namespace ipse
