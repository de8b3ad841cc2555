// What the bindings ask of the neighbour kernels. Shared by all instruction sets.
#pragma once

#include <cstdint>

#include "base/matrix.h"

namespace ipse {

enum class Metric : std::uint8_t { dot, cosine, l2 };

// Which columns a row may choose. Null pointers: no restriction of that kind.
struct ColumnFilter {
    const std::int64_t* row_ids = nullptr;        // (M,)
    const std::int64_t* column_ids = nullptr;     // (K,), a column with the row's id is left out
    const std::int64_t* row_labels = nullptr;     // (M,)
    const std::int64_t* column_labels = nullptr;  // (K,), only columns with the row's label remain
};

struct TopkRequest {
    StridedMatrix x;  // (M, D) rows
    StridedMatrix y;  // (K, D) columns, same dtype; K < 2^31
    Metric metric = Metric::cosine;
    ColumnFilter filter;
    std::int64_t k = 1;       // 1 <= k <= K
    StridedMatrix values;     // (M, k), C order, the compute type
    std::int64_t* indices{};  // (M, k), C order
    int threads = 1;
};

// The products with k chosen rows of a matrix for each row of another; index -1 counts as nothing.
struct GatheredRequest {
    StridedMatrix x;                // gathered_dot, scattered_sum: (M, D)
    StridedMatrix y;                // gathered_dot, gathered_sum: (K, D)
    StridedMatrix weights;          // gathered_sum, scattered_sum: (M, k)
    const std::int64_t* indices{};  // (M, k), C order, each in [-1, K)
    std::int64_t k = 0;
    StridedMatrix out;  // C order: (M, k), (M, D) or (K, D)
    int threads = 1;
};

struct NeighboursTable {
    void (*topk_similarity)(const TopkRequest&);
    void (*gathered_dot)(const GatheredRequest&);
    void (*gathered_sum)(const GatheredRequest&);
    void (*scattered_sum)(const GatheredRequest&);
};

}  // namespace ipse
