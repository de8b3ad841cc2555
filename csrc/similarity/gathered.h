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
#include "similarity/neighbours_requests.h"

namespace ipse::IPSE_ISA {

// A matrix of storage type S read in the compute type T.
template <class T, class S>
struct Reader {
    const StridedMatrix& matrix;

    const S* row(std::int64_t index) const noexcept {
        return static_cast<const S*>(matrix.data) + index * matrix.row_stride;
    }
    T at(const S* line, std::int64_t column) const noexcept {
        return read<T>(line[column * matrix.col_stride]);
    }

    // row[index] . other, in eight running sums, so that the compiler may use vectors; always in
    // this order.
    T dot(std::int64_t index, const T* other) const noexcept {
        const S* line = row(index);
        return matrix.col_stride == 1 ? dot(line, other, 1) : dot(line, other, matrix.col_stride);
    }

    // sum += weight * row[index]
    void add_row(std::int64_t index, T weight, T* sum) const noexcept {
        const S* line = row(index);
        if (matrix.col_stride == 1) {
            for (std::int64_t d = 0; d < matrix.cols; ++d) {
                sum[d] += weight * read<T>(line[d]);
            }
            return;
        }
        for (std::int64_t d = 0; d < matrix.cols; ++d) {
            sum[d] += weight * at(line, d);
        }
    }

private:
    // `stride` is a constant to the compiler where rows are contiguous.
    __attribute__((always_inline)) T dot(const S* line, const T* other,
                                         std::int64_t stride) const noexcept {
        T sums[8] = {};
        std::int64_t d = 0;
        for (; d + 8 <= matrix.cols; d += 8) {
            for (int lane = 0; lane < 8; ++lane) {
                sums[lane] += other[d + lane] * read<T>(line[(d + lane) * stride]);
            }
        }
        for (; d < matrix.cols; ++d) {
            sums[0] += other[d] * read<T>(line[d * stride]);
        }
        return ((sums[0] + sums[1]) + (sums[2] + sums[3])) +
               ((sums[4] + sums[5]) + (sums[6] + sums[7]));
    }
};

template <class T, class S>
void gathered_dot(const GatheredRequest& request) {
    const Reader<T, S> x{request.x};
    const Reader<T, S> y{request.y};
    const std::int64_t depth = request.x.cols;
    const int threads = useful_threads(request.x.rows, request.k, depth, request.threads);
    const Shares<T> lines(threads, depth);
    parallel_for(request.x.rows, threads, [&](std::int64_t row, int worker) {
        T* line = lines[worker];
        for (std::int64_t d = 0; d < depth; ++d) {
            line[d] = x.at(x.row(row), d);
        }
        T* out = static_cast<T*>(request.out.data) + row * request.k;
        for (std::int64_t j = 0; j < request.k; ++j) {
            const std::int64_t index = request.indices[row * request.k + j];
            out[j] = index < 0 ? T{0} : y.dot(index, line);
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
    const Reader<T, S> y{request.y};
    const Reader<T, T> weights{request.weights};
    const std::int64_t depth = request.y.cols;
    const int threads = useful_threads(request.out.rows, request.k, depth, request.threads);
    const Shares<T> sums(threads, depth);
    parallel_for(request.out.rows, threads, [&](std::int64_t row, int worker) {
        T* sum = sums[worker];
        for (std::int64_t d = 0; d < depth; ++d) {
            sum[d] = T{0};
        }
        for (std::int64_t j = 0; j < request.k; ++j) {
            const std::int64_t index = request.indices[row * request.k + j];
            if (index >= 0) {
                y.add_row(index, weights.at(weights.row(row), j), sum);
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
    const Reader<T, S> x{request.x};
    const Reader<T, T> weights{request.weights};
    const std::int64_t depth = request.x.cols;
    const int threads = useful_threads(request.x.rows, request.k, depth, request.threads);
    const PlacesByIndex places(request.indices, request.x.rows * request.k, request.out.rows);
    const Shares<T> sums(threads, depth);
    parallel_for(request.out.rows, threads, [&](std::int64_t column, int worker) {
        T* sum = sums[worker];
        for (std::int64_t d = 0; d < depth; ++d) {
            sum[d] = T{0};
        }
        for (std::int64_t at = places.begin(column); at < places.begin(column + 1); ++at) {
            const std::int64_t row = places.place(at) / request.k;
            x.add_row(row, weights.at(weights.row(row), places.place(at) % request.k), sum);
        }
        write_row<T, S>(request, column, sum);
    });
}

}  // namespace ipse::IPSE_ISA
