// The way of a panel in and out: columns anywhere in memory, of any pixel type, to rows of
// scratch in the compute type, and back, each column then contiguous in memory.
#pragma once

#include <cstring>

#include "base/half.h"
#include "base/panels.h"
#include "spectral/fold.h"

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
template <class T>
struct Columns {
    static constexpr int most = Panel<T>::rows;
    std::int64_t offset[Panel<T>::rows];
    int count = 0;  // the others repeat the last one on reading and are left out on writing

    bool adjacent() const noexcept {
        for (int c = 1; c < most; ++c) {
            if (offset[c] != offset[0] + c) {
                return false;
            }
        }
        return true;
    }
    void repeat_last() noexcept {
        for (int c = count; c < most; ++c) {
            offset[c] = offset[count - 1];
        }
    }
};

// rows x panel from memory to scratch, converted.
template <class T, class S>
inline void read_columns(const S* from, std::int64_t row_stride, std::int64_t rows,
                         const Columns<T>& columns, T* to) noexcept {
    constexpr int most = Panel<T>::rows;
    const bool adjacent = columns.adjacent();
    for (std::int64_t row = 0; row < rows; ++row, from += row_stride, to += most) {
        if (adjacent) {
            const S* line = from + columns.offset[0];
            for (int c = 0; c < most; ++c) {
                to[c] = static_cast<T>(widen(line[c]));
            }
        } else {
            for (int c = 0; c < most; ++c) {
                to[c] = static_cast<T>(widen(from[columns.offset[c]]));
            }
        }
    }
}

// The rows of a panel as contiguous columns: `rows` values from `to + offset[c]`, `step` apart.
// Scratch rows are readable up to whole registers.
template <class T, class S>
inline void write_columns(PanelRows<const T> from, std::int64_t rows, const Columns<T>& columns,
                          S* to, std::int64_t step) noexcept {
    constexpr int lanes = Simd<T>::lanes;
    for (std::int64_t row = 0; row < rows; row += lanes) {
        const std::int64_t left = rows - row;
        const int valid = left < lanes ? static_cast<int>(left) : lanes;
        for (int first = 0; first < columns.count; first += lanes) {
            Vector<T> square[lanes];
            for (int i = 0; i < lanes; ++i) {
                square[i] = load(from[row + i] + first);
            }
            transpose<T>(square);
            const int present = columns.count - first < lanes ? columns.count - first : lanes;
            for (int c = 0; c < present; ++c) {
                S* target = to + columns.offset[first + c] + row * step;
                if constexpr (sizeof(S) == sizeof(T)) {
                    if (valid == lanes && step == 1) {
                        store(target, square[c]);
                        continue;
                    }
                }
                T line[lanes];
                store(line, square[c]);
                if (valid == lanes && step == 1) {
                    for (int i = 0; i < lanes; ++i) {
                        target[i] = write<S>(line[i]);
                    }
                } else {
                    for (int i = 0; i < valid; ++i) {
                        target[i * step] = write<S>(line[i]);
                    }
                }
            }
        }
    }
}

}  // namespace ipse::IPSE_ISA
