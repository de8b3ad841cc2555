// The small matrices of cosines and sines that a truncated Fourier transform multiplies with.
//
// A real signal of length n is folded first: its even part e[j] = x[j] + x[n - j] is all that
// cosines see, its odd part o[j] = x[j] - x[n - j] all that sines see. Both have
// n / 2 + 1 places, which halves the multiplications.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/isa.h"
#include "base/panels.h"
#include "base/workspace.h"

namespace ipse::IPSE_ISA {

// Places of a folded signal.
constexpr std::int64_t folded(std::int64_t length) noexcept {
    return length / 2 + 1;
}

// How often frequency k occurs as k and -k.
constexpr double multiplicity(std::int64_t k, std::int64_t length) noexcept {
    return k == 0 || 2 * k == length ? 1.0 : 2.0;
}

// cos(2 pi j / length) and sin, exact at the quarters.
class Angles {
public:
    explicit Angles(std::int64_t length)
        : length_(length), room_(Workspace::elements(2 * length, sizeof(double))) {
        constexpr double two_pi = 6.283185307179586476925286766559;
        double* values = static_cast<double*>(room_.data());
        for (std::int64_t j = 0; j < length; ++j) {
            const double angle = two_pi * static_cast<double>(j) / static_cast<double>(length);
            values[2 * j] = std::cos(angle);
            values[2 * j + 1] = std::sin(angle);
        }
        if (length % 4 == 0) {
            values[length / 2] = values[3 * length / 2] = 0.0;
        }
        if (length % 2 == 0) {
            values[length + 1] = 0.0;
        }
    }

    // Of frequency k at place j; k * j < 2^63 is the bindings' care.
    double cosine(std::int64_t k, std::int64_t j) const noexcept { return at(k, j)[0]; }
    double sine(std::int64_t k, std::int64_t j) const noexcept { return at(k, j)[1]; }

private:
    const double* at(std::int64_t k, std::int64_t j) const noexcept {
        return static_cast<const double*>(room_.data()) + 2 * ((k * j) % length_);
    }

    std::int64_t length_;
    Workspace room_;
};

// Where the left factor's element (i, k) lies, for multiply_strip.
struct Steps {
    std::int64_t row;
    std::int64_t depth;
};

template <class T>
constexpr std::int64_t padded_strips(std::int64_t rows) noexcept {
    return (rows + Panel<T>::strip - 1) / Panel<T>::strip * Panel<T>::strip;
}

// A pair of matrices (rows, depth), filled from a function of (row, k), zeros around them.
template <class T>
class Pair {
public:
    // As a left factor: strips of rows, the depth slowest inside each.
    template <class Value>
    static Pair left(std::int64_t rows, std::int64_t depth, const Value& value) {
        Pair pair(padded_strips<T>(rows), depth);
        constexpr std::int64_t strip = Panel<T>::strip;
        for (int part = 0; part < 2; ++part) {
            T* to = pair[part];
            for (std::int64_t begin = 0; begin < pair.rows_; begin += strip) {
                for (std::int64_t k = 0; k < depth; ++k) {
                    for (std::int64_t row = begin; row < begin + strip; ++row) {
                        *to++ = row < rows ? static_cast<T>(value(part, row, k)) : T{0};
                    }
                }
            }
        }
        return pair;
    }

    // As a right factor: lines of whole panels.
    template <class Value>
    static Pair right(std::int64_t depth, std::int64_t columns, const Value& value) {
        Pair pair(padded_rows<T>(columns), depth);
        for (int part = 0; part < 2; ++part) {
            T* to = pair[part];
            for (std::int64_t k = 0; k < depth; ++k) {
                for (std::int64_t column = 0; column < pair.rows_; ++column) {
                    *to++ = column < columns ? static_cast<T>(value(part, k, column)) : T{0};
                }
            }
        }
        return pair;
    }

    // 0: cosines, 1: sines.
    T* operator[](int part) const noexcept {
        return static_cast<T*>(room_.data()) + part * rows_ * depth_;
    }

private:
    Pair(std::int64_t rows, std::int64_t depth)
        : rows_(rows),
          depth_(depth),
          room_(Workspace::elements(2 * rows * depth, static_cast<std::int64_t>(sizeof(T)))) {}

    std::int64_t rows_;  // of a right factor: columns
    std::int64_t depth_;
    Workspace room_;
};

}  // namespace ipse::IPSE_ISA
