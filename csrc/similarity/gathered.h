// Products with k chosen rows of a matrix for each row of another: what remains of a
// similarity matrix once the neighbours are known. The three operations are each other's
// derivatives.
//
//   gathered_dot   out_ij = x_i . y[index_ij]             (M, k)
//   gathered_sum   out_i  = sum_j w_ij y[index_ij]        (M, D)
//   scattered_sum  out_c  = sum over index_ij = c of w_ij x_i    (K, D)
//
// Every row of a result is summed by one worker in a fixed order; sums are in the compute type.
#pragma once

#include <cstdint>

#include "base/half.h"
#include "base/parallel.h"
#include "base/shares.h"
#include "base/simd.h"
#include "similarity/neighbours_requests.h"

namespace ipse::IPSE_ISA {

// Rows of a matrix of storage type S as contiguous values of the compute type T.
template <class T, class S>
struct RowReader {
    const StridedMatrix& matrix;

    // The row where it lies if that will do, else converted into `room` (matrix.cols values).
    const T* row(std::int64_t index, T* room) const noexcept {
        const S* line = static_cast<const S*>(matrix.data) + index * matrix.row_stride;
        if constexpr (sizeof(S) == sizeof(T)) {
            if (matrix.col_stride == 1) {
                return line;
            }
        }
        for (std::int64_t d = 0; d < matrix.cols; ++d) {
            room[d] = read<T>(line[d * matrix.col_stride]);
        }
        return room;
    }
};

template <class T>
inline T at(const StridedMatrix& matrix, std::int64_t row, std::int64_t column) noexcept {
    return static_cast<const T*>(matrix.data)[row * matrix.row_stride + column * matrix.col_stride];
}

template <class T>
inline T dot_rows(const T* a, const T* b, std::int64_t depth) noexcept {
    constexpr int lanes = Simd<T>::lanes;
    Vector<T> sums[2] = {};
    std::int64_t d = 0;
    for (; d + 2 * lanes <= depth; d += 2 * lanes) {
        sums[0] += load(a + d) * load(b + d);
        sums[1] += load(a + d + lanes) * load(b + d + lanes);
    }
    T rest = 0;
    for (; d < depth; ++d) {
        rest += a[d] * b[d];
    }
    return sum_lanes<T>(sums[0] + sums[1]) + rest;
}

// sum += weight * row
template <class T>
inline void add_row(const T* row, T weight, std::int64_t depth, T* sum) noexcept {
    for (std::int64_t d = 0; d < depth; ++d) {
        sum[d] += weight * row[d];
    }
}

template <class T, class S>
void gathered_dot(const GatheredRequest& request) {
    const RowReader<T, S> x{request.x};
    const RowReader<T, S> y{request.y};
    const std::int64_t depth = request.x.cols;
    const int threads = useful_threads(request.x.rows, request.k, depth, request.threads);
    const Shares<T> rooms(threads, 2 * depth);
    parallel_for(request.x.rows, threads, [&](std::int64_t row, int worker) {
        const T* own = x.row(row, rooms[worker]);
        T* out = static_cast<T*>(request.out.data) + row * request.k;
        for (std::int64_t j = 0; j < request.k; ++j) {
            const std::int64_t index = request.indices[row * request.k + j];
            out[j] = index < 0 ? T{0} : dot_rows(own, y.row(index, rooms[worker] + depth), depth);
        }
    });
}

template <class T, class S>
void write_row(const GatheredRequest& request, std::int64_t row, const T* sum) noexcept {
    S* out = static_cast<S*>(request.out.data) + row * request.out.cols;
    for (std::int64_t d = 0; d < request.out.cols; ++d) {
        out[d] = write<S>(sum[d]);
    }
}

template <class T, class S>
void gathered_sum(const GatheredRequest& request) {
    const RowReader<T, S> y{request.y};
    const std::int64_t depth = request.y.cols;
    const int threads = useful_threads(request.out.rows, request.k, depth, request.threads);
    const Shares<T> rooms(threads, 2 * depth);
    parallel_for(request.out.rows, threads, [&](std::int64_t row, int worker) {
        T* sum = rooms[worker];
        for (std::int64_t d = 0; d < depth; ++d) {
            sum[d] = T{0};
        }
        for (std::int64_t j = 0; j < request.k; ++j) {
            const std::int64_t index = request.indices[row * request.k + j];
            if (index >= 0) {
                add_row(y.row(index, sum + depth), at<T>(request.weights, row, j), depth, sum);
            }
        }
        write_row<T, S>(request, row, sum);
    });
}

// The places (i, j) sorted by index_ij: a counting sort, so places of one index stay in order.
class PlacesByIndex {
public:
    PlacesByIndex(const std::int64_t* indices, std::int64_t places, std::int64_t count)
        : begin_(1, count + 1), place_(1, places) {
        std::int64_t* begin = begin_[0];
        for (std::int64_t c = 0; c <= count; ++c) {
            begin[c] = 0;
        }
        for (std::int64_t p = 0; p < places; ++p) {
            if (indices[p] >= 0) {
                ++begin[indices[p]];
            }
        }
        std::int64_t total = 0;
        for (std::int64_t c = 0; c <= count; ++c) {
            const std::int64_t here = begin[c];
            begin[c] = total;
            total += here;
        }
        for (std::int64_t p = 0; p < places; ++p) {
            if (indices[p] >= 0) {
                place_[0][begin[indices[p]]++] = p;
            }
        }
        for (std::int64_t c = count; c > 0; --c) {
            begin[c] = begin[c - 1];
        }
        begin[0] = 0;
    }

    std::int64_t begin(std::int64_t index) const noexcept { return begin_[0][index]; }
    std::int64_t place(std::int64_t at) const noexcept { return place_[0][at]; }

private:
    Shares<std::int64_t> begin_;
    Shares<std::int64_t> place_;
};

template <class T, class S>
void scattered_sum(const GatheredRequest& request) {
    const RowReader<T, S> x{request.x};
    const std::int64_t depth = request.x.cols;
    const int threads = useful_threads(request.x.rows, request.k, depth, request.threads);
    const PlacesByIndex places(request.indices, request.x.rows * request.k, request.out.rows);
    const Shares<T> rooms(threads, 2 * depth);
    parallel_for(request.out.rows, threads, [&](std::int64_t column, int worker) {
        T* sum = rooms[worker];
        for (std::int64_t d = 0; d < depth; ++d) {
            sum[d] = T{0};
        }
        for (std::int64_t p = places.begin(column); p < places.begin(column + 1); ++p) {
            const std::int64_t row = places.place(p) / request.k;
            const T weight = at<T>(request.weights, row, places.place(p) % request.k);
            add_row(x.row(row, sum + depth), weight, depth, sum);
        }
        write_row<T, S>(request, column, sum);
    });
}

}  // namespace ipse::IPSE_ISA
