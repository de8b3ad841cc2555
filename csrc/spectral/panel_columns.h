// The way of a panel in and out: columns anywhere in memory, of any pixel type, to rows of
// scratch in the compute type, and back, each column then contiguous in memory.
#pragma once

#include <cstring>

#include "base/half.h"
#include "base/panels.h"
#include "spectral/apply_axis.h"

namespace ipse::IPSE_ISA {

struct UInt8 {
    std::uint8_t value;
};

inline float widen(UInt8 pixel) noexcept {
    return static_cast<float>(pixel.value);
}

// Calls visit(S{}) with the storage type of the pixels.
template <class Visit>
inline void visit_pixels(PixelType type, const Visit& visit) noexcept {
    switch (type) {
        case PixelType::uint8:
            return visit(UInt8{});
        case PixelType::float64:
            return visit(double{});
        case PixelType::bfloat16:
            return visit(BFloat16{});
        case PixelType::float16:
            return visit(Float16{});
        case PixelType::float32:
            break;
    }
    visit(float{});
}

// Where the columns of a panel begin, in elements from a common base.
struct Columns {
    const std::int64_t* offset = nullptr;
    int count = 0;  // at most Panel<T>::rows

    // How many columns from c on lie side by side.
    int run(int c) const noexcept {
        int length = 1;
        while (c + length < count && offset[c + length] == offset[c] + length) {
            ++length;
        }
        return length;
    }
};

// rows x panel from memory to scratch, converted. Columns beyond the count are left as they
// are: any number will do there.
template <class T, class S>
inline void read_columns(const S* from, std::int64_t row_stride, std::int64_t rows,
                         const Columns& columns, T* to) noexcept {
    constexpr int most = Panel<T>::rows;
    for (int c = 0; c < columns.count;) {
        const int length = columns.run(c);
        const S* source = from + columns.offset[c];
        T* target = to + c;
        if (length == most) {
            for (std::int64_t row = 0; row < rows; ++row) {
                for (int i = 0; i < most; ++i) {
                    target[i] = static_cast<T>(widen(source[i]));
                }
                source += row_stride;
                target += most;
            }
        } else {
            for (std::int64_t row = 0; row < rows; ++row) {
                for (int i = 0; i < length; ++i) {
                    target[i] = static_cast<T>(widen(source[i]));
                }
                source += row_stride;
                target += most;
            }
        }
        c += length;
    }
}

// One column from a register: all of it, or its first `valid` values `step` apart.
template <class T, class S>
inline void write_whole(Vector<T> values, S* to) noexcept {
    if constexpr (sizeof(S) == sizeof(T)) {
        store(to, values);
    } else {
        T line[Simd<T>::lanes];
        store(line, values);
        for (int i = 0; i < Simd<T>::lanes; ++i) {
            to[i] = write<S>(line[i]);
        }
    }
}

template <class T, class S>
inline void write_part(Vector<T> values, int valid, S* to, std::int64_t step) noexcept {
    T line[Simd<T>::lanes];
    store(line, values);
    for (int i = 0; i < valid; ++i) {
        to[i * step] = write<S>(line[i]);
    }
}

// The rows of a panel as columns: `rows` values from `to + offset[c]`, `step` apart. Rows of
// scratch are readable up to whole registers. The last register of the first `whole` columns
// is stored whole too: what it writes past their end belongs to later columns.
template <class T, class S>
inline void write_columns(PanelRows<const T> from, std::int64_t rows, const Columns& columns,
                          int whole, S* to, std::int64_t step) noexcept {
    constexpr int lanes = Simd<T>::lanes;
    // The ends of all columns first, their beginnings last: those are never overwritten.
    for (std::int64_t row = (rows - 1) / lanes * lanes; row >= 0; row -= lanes) {
        const int valid = rows - row < lanes ? static_cast<int>(rows - row) : lanes;
        for (int first = 0; first < columns.count; first += lanes) {
            Vector<T> square[lanes];
            for (int i = 0; i < lanes; ++i) {
                square[i] = load(from[row + i] + first);
            }
            transpose<T>(square);
            const int present = columns.count - first < lanes ? columns.count - first : lanes;
            for (int c = 0; c < present; ++c) {
                S* target = to + columns.offset[first + c] + row * step;
                if (step == 1 && (valid == lanes || first + c < whole)) {
                    write_whole<T>(square[c], target);
                } else {
                    write_part<T>(square[c], valid, target, step);
                }
            }
        }
    }
}

}  // namespace ipse::IPSE_ISA
