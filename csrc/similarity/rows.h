// Running along one row of a matrix in whole registers: reading it, its maximum, sums,
// exponentials.
#pragma once

#include <cstdint>

#include "base/exp.h"
#include "base/half.h"
#include "base/matrix.h"
#include "base/simd.h"

namespace ipse::IPSE_ISA {

// Sums run in the compute type over this many values and in double beyond.
constexpr std::int64_t row_block = 1024;

// A full register of a row, or its last one, of which only `count` lanes exist.
template <class T>
struct WholeVector {
    Vector<T> load(const T* from, T) const noexcept { return ipse::IPSE_ISA::load(from); }
    void store(T* to, Vector<T> value) const noexcept { ipse::IPSE_ISA::store(to, value); }
    Vector<T> or_zero(Vector<T> value) const noexcept { return value; }
};

template <class T>
struct PartVector {
    int count;

    Vector<T> load(const T* from, T filling) const noexcept {
        Vector<T> value = broadcast(filling);
        for (int lane = 0; lane < count; ++lane) {
            value[lane] = from[lane];
        }
        return value;
    }
    void store(T* to, Vector<T> value) const noexcept {
        for (int lane = 0; lane < count; ++lane) {
            to[lane] = value[lane];
        }
    }
    // The lanes that exist; 0 elsewhere.
    Vector<T> or_zero(Vector<T> value) const noexcept {
        for (int lane = count; lane < Simd<T>::lanes; ++lane) {
            value[lane] = T{0};
        }
        return value;
    }
};

// body(k, lanes) for every register of [begin, end).
template <class T, class Body>
inline void for_vectors(std::int64_t begin, std::int64_t end, const Body& body) noexcept {
    constexpr int lanes = Simd<T>::lanes;
    std::int64_t k = begin;
    for (; k + lanes <= end; k += lanes) {
        body(k, WholeVector<T>{});
    }
    if (k < end) {
        body(k, PartVector<T>{static_cast<int>(end - k)});
    }
}

template <class T>
inline double sum_of_lanes(Vector<T> value) noexcept {
    double sum = 0.0;
    for (int lane = 0; lane < Simd<T>::lanes; ++lane) {
        sum += static_cast<double>(value[lane]);
    }
    return sum;
}

template <class T>
inline double row_sum(const T* row, std::int64_t count) noexcept {
    double total = 0.0;
    for (std::int64_t begin = 0; begin < count; begin += row_block) {
        const std::int64_t end = count - begin < row_block ? count : begin + row_block;
        Vector<T> sum{};
        for_vectors<T>(begin, end, [&](std::int64_t k, const auto& lanes) {
            sum += lanes.load(row + k, T{0});
        });
        total += sum_of_lanes<T>(sum);
    }
    return total;
}

// The largest value of a row of at least one; NaN may or may not be seen.
template <class T>
inline T row_maximum(const T* row, std::int64_t count) noexcept {
    constexpr int lanes = Simd<T>::lanes;
    constexpr int chains = 4;  // independent, so that the latency of one hides in the others
    Vector<T> best[chains];
    for (Vector<T>& chain : best) {
        chain = broadcast(row[0]);
    }
    std::int64_t k = 0;
    for (; k + chains * lanes <= count; k += chains * lanes) {
#pragma GCC unroll 4
        for (int c = 0; c < chains; ++c) {
            const Vector<T> value = load(row + k + c * lanes);
            best[c] = larger<T>(value, best[c]);
        }
    }
    T largest =
        largest_lane<T>(larger<T>(larger<T>(best[0], best[1]), larger<T>(best[2], best[3])));
    for (; k < count; ++k) {
        largest = row[k] > largest ? row[k] : largest;
    }
    return largest;
}

// e^((x - max x) * inverse_temperature) into `to`; returns the sum. x and to may be one row.
template <class T>
double exponentials(const T* x, std::int64_t count, T inverse_temperature, T* to) noexcept {
    const T largest = row_maximum(x, count);
    double total = 0.0;
    for (std::int64_t begin = 0; begin < count; begin += row_block) {
        const std::int64_t end = count - begin < row_block ? count : begin + row_block;
        Vector<T> sum{};
        for_vectors<T>(begin, end, [&](std::int64_t k, const auto& lanes) {
            // The difference comes before the temperature: it is exact near the maximum.
            const Vector<T> a = (lanes.load(x + k, largest) - largest) * inverse_temperature;
            const Vector<T> e = lanes.or_zero(exponential<T>(a));
            lanes.store(to + k, e);
            sum += e;
        });
        total += sum_of_lanes<T>(sum);
    }
    return total;
}

// Row `index` of a matrix as contiguous values of the compute type: in place where it is
// that already, else copied to `room` (cols values).
template <class T>
inline const T* read_row(const StridedMatrix& from, std::int64_t index, T* room) noexcept {
    constexpr DType own = sizeof(T) == 8 ? DType::float64 : DType::float32;
    if (from.dtype == own && from.col_stride == 1) {
        return static_cast<const T*>(from.data) + index * from.row_stride;
    }
    visit_dtype(from.dtype, [&](auto storage) {
        using S = decltype(storage);
        const S* row = static_cast<const S*>(from.data) + index * from.row_stride;
        if (from.col_stride == 1) {
            for (std::int64_t k = 0; k < from.cols; ++k) {
                room[k] = read<T>(row[k]);
            }
        } else {
            for (std::int64_t k = 0; k < from.cols; ++k) {
                room[k] = read<T>(row[k * from.col_stride]);
            }
        }
    });
    return room;
}

// Where to compute row `index` of a C-ordered result: in place where it has the compute type,
// else in `room`, from which finish_row converts it.
template <class T>
inline T* result_row(const StridedMatrix& to, std::int64_t index, T* room) noexcept {
    const bool in_place = to.dtype == (sizeof(T) == 8 ? DType::float64 : DType::float32);
    return in_place ? static_cast<T*>(to.data) + index * to.row_stride : room;
}

template <class T>
inline void finish_row(const T* values, const StridedMatrix& to, std::int64_t index) noexcept {
    visit_dtype(to.dtype, [&](auto storage) {
        using S = decltype(storage);
        S* row = static_cast<S*>(to.data) + index * to.row_stride;
        if (static_cast<const void*>(row) != values) {
            for (std::int64_t k = 0; k < to.cols; ++k) {
                row[k] = write<S>(values[k]);
            }
        }
    });
}

}  // namespace ipse::IPSE_ISA
