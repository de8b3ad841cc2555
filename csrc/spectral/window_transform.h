// The Fourier transform of one plane at the low frequencies only, and back.
//
// In real arithmetic. With a = 2 pi k h / H and b = 2 pi l w / W a real plane x has, for
// 0 <= k <= half_rows and 0 <= l <= half_columns, four coefficients
//
//     CC = sum x cos a cos b    CS = sum x cos a sin b
//     SC = sum x sin a cos b    SS = sum x sin a sin b,
//
// and F[k, l] = (CC - SS) - i (SC + CS), F[k, -l] = (CC + SS) - i (SC - CS). Rows are folded,
// multiplied by the row operators, the few lines that result are folded again and multiplied by
// the column operators: everything of a plane stays in the processor's second cache.
#pragma once

#include <cstdint>

#include "base/multiply.h"
#include "base/shares.h"
#include "similarity/rows.h"
#include "spectral/styles_requests.h"
#include "spectral/trigonometry.h"

namespace ipse::IPSE_ISA {

// Threads that pay for a pass over all planes.
inline int plane_threads(const WindowRequest& request) noexcept {
    return useful_threads(request.planes.rows, request.planes.cols, 2 * (request.half_rows + 1),
                          request.threads);
}

// The four coefficients of a frequency pair lie in four blocks of equal shape.
enum Block4 : int { cos_cos = 0, cos_sin = 1, sin_cos = 2, sin_sin = 3 };

template <class T>
class WindowTransform {
public:
    WindowTransform(const WindowRequest& request, int spectra)
        : height_(request.height),
          width_(request.planes.cols),
          rows_(request.half_rows + 1),
          columns_(request.half_columns + 1),
          row_angles_(height_),
          column_angles_(width_),
          rows_down_(Pair<T>::left(rows_, folded(height_),
                                   [&](int part, std::int64_t k, std::int64_t h) {
                                       return value(row_angles_, part, k, h);
                                   })),
          columns_down_(Pair<T>::right(folded(width_), columns_,
                                       [&](int part, std::int64_t w, std::int64_t l) {
                                           return value(column_angles_, part, l, w);
                                       })),
          columns_up_(Pair<T>::right(columns_, folded(width_),
                                     [&](int part, std::int64_t l, std::int64_t w) {
                                         return value(column_angles_, part, l, w) *
                                                multiplicity(l, width_) /
                                                static_cast<double>(width_);
                                     })),
          rows_up_(Pair<T>::left(folded(height_), rows_,
                                 [&](int part, std::int64_t h, std::int64_t k) {
                                     return value(row_angles_, part, k, h) *
                                            multiplicity(k, height_) / static_cast<double>(height_);
                                 })),
          scratch_(plane_threads(request), scratch_elements(spectra)) {}

    std::int64_t rows() const noexcept { return rows_; }
    std::int64_t columns() const noexcept { return columns_; }
    std::int64_t height() const noexcept { return height_; }
    std::int64_t width() const noexcept { return width_; }

    // A worker's spectrum `index` < spectra: coefficient (k, l) of a block.
    T* line(int worker, int index, Block4 block, std::int64_t k) const noexcept {
        return spectrum(worker, index) + (block * row_room() + k) * column_room();
    }

    // The coefficients of the plane that begins at row `first`.
    void analyse(const StridedMatrix& planes, std::int64_t first, int worker,
                 int index) const noexcept {
        fold_rows(planes, first, worker);
        const std::int64_t depth = folded(height_);
        for (int part = 0; part < 2; ++part) {
            multiply(row_room(), depth, rows_down_[part], Steps{1, Panel<T>::strip},
                     halves(worker, part), width_room(), width_room(), lines(worker, part));
        }
        fold_columns(worker);
        for (int block = 0; block < 4; ++block) {
            multiply(row_room(), folded(width_), quarters(worker, block),
                     Steps{half_width_room(), 1}, columns_down_[block % 2], column_room(),
                     column_room(), spectrum(worker, index) + block * row_room() * column_room());
        }
    }

    // out = keep * x + the plane that has these coefficients.
    void synthesise(int worker, int index, T keep, const StridedMatrix& planes,
                    const StridedMatrix& out, std::int64_t first) const noexcept {
        for (int block = 0; block < 4; ++block) {
            multiply(row_room(), columns_,
                     spectrum(worker, index) + block * row_room() * column_room(),
                     Steps{column_room(), 1}, columns_up_[block % 2], half_width_room(),
                     half_width_room(), quarters(worker, block));
        }
        unfold_columns(worker);
        for (int part = 0; part < 2; ++part) {
            multiply(height_room(), rows_, rows_up_[part], Steps{1, Panel<T>::strip},
                     lines(worker, part), width_room(), width_room(), halves(worker, part));
        }
        unfold_rows(worker, keep, planes, out, first);
    }

private:
    static double value(const Angles& angles, int part, std::int64_t k, std::int64_t j) noexcept {
        return part == 0 ? angles.cosine(k, j) : angles.sine(k, j);
    }

    // c = left * right in whole strips and panels.
    static void multiply(std::int64_t rows, std::int64_t depth, const T* left, Steps step,
                         const T* right, std::int64_t right_stride, std::int64_t columns,
                         T* c) noexcept {
        constexpr std::int64_t strip = Panel<T>::strip;
        for (std::int64_t column = 0; column < columns; column += Panel<T>::rows) {
            for (std::int64_t row = 0; row < rows; row += strip) {
                const T* from = left + (step.row == 1 ? row * depth : row * step.row);
                multiply_strip<T, false>(depth, from, step, right + column, right_stride,
                                         c + row * columns + column, columns);
            }
        }
    }

    // Rows h and H - h become their sum and their difference.
    void fold_rows(const StridedMatrix& planes, std::int64_t first, int worker) const noexcept {
        const std::int64_t room = width_room();
        for (std::int64_t h = 0; h < folded(height_); ++h) {
            const std::int64_t other = h == 0 ? 0 : height_ - h;
            T* even = halves(worker, 0) + h * room;
            T* odd = halves(worker, 1) + h * room;
            const T* a = read_row(planes, first + h, row_buffer(worker, 0));
            const T* b = read_row(planes, first + other, row_buffer(worker, 1));
            if (other == h) {
                for (std::int64_t w = 0; w < width_; ++w) {
                    even[w] = a[w];
                    odd[w] = T{0};
                }
            } else {
                for (std::int64_t w = 0; w < width_; ++w) {
                    const T left = a[w];
                    const T right = b[w];
                    even[w] = left + right;
                    odd[w] = left - right;
                }
            }
            for (std::int64_t w = width_; w < room; ++w) {
                even[w] = odd[w] = T{0};
            }
        }
    }

    void fold_columns(int worker) const noexcept {
        for (int part = 0; part < 2; ++part) {
            for (std::int64_t k = 0; k < row_room(); ++k) {
                const T* from = lines(worker, part) + k * width_room();
                T* even = quarters(worker, 2 * part) + k * half_width_room();
                T* odd = quarters(worker, 2 * part + 1) + k * half_width_room();
                even[0] = from[0];
                odd[0] = T{0};
                for (std::int64_t w = 1; w < (width_ + 1) / 2; ++w) {
                    const T a = from[w];
                    const T b = from[width_ - w];
                    even[w] = a + b;
                    odd[w] = a - b;
                }
                if (width_ % 2 == 0) {
                    even[width_ / 2] = from[width_ / 2];
                    odd[width_ / 2] = T{0};
                }
            }
        }
    }

    void unfold_columns(int worker) const noexcept {
        for (int part = 0; part < 2; ++part) {
            for (std::int64_t k = 0; k < rows_; ++k) {
                const T* even = quarters(worker, 2 * part) + k * half_width_room();
                const T* odd = quarters(worker, 2 * part + 1) + k * half_width_room();
                T* to = lines(worker, part) + k * width_room();
                for (std::int64_t w = 0; w < folded(width_); ++w) {
                    to[w] = even[w] + odd[w];
                }
                for (std::int64_t w = 1; w < (width_ + 1) / 2; ++w) {
                    to[width_ - w] = even[w] - odd[w];
                }
                for (std::int64_t w = width_; w < width_room(); ++w) {
                    to[w] = T{0};
                }
            }
        }
    }

    void unfold_rows(int worker, T keep, const StridedMatrix& planes, const StridedMatrix& out,
                     std::int64_t first) const noexcept {
        for (std::int64_t h = 0; h < folded(height_); ++h) {
            const std::int64_t other = h == 0 ? 0 : height_ - h;
            const T* even = halves(worker, 0) + h * width_room();
            const T* odd = halves(worker, 1) + h * width_room();
            finish_line(even, odd, T{1}, keep, planes, out, first + h, worker);
            if (other != h) {
                finish_line(even, odd, T{-1}, keep, planes, out, first + other, worker);
            }
        }
    }

    void finish_line(const T* even, const T* odd, T sign, T keep, const StridedMatrix& planes,
                     const StridedMatrix& out, std::int64_t row, int worker) const noexcept {
        T* to = result_row(out, row, row_buffer(worker, 1));
        if (keep == T{0}) {
            for (std::int64_t w = 0; w < width_; ++w) {
                to[w] = even[w] + sign * odd[w];
            }
        } else {
            const T* x = read_row(planes, row, row_buffer(worker, 0));
            for (std::int64_t w = 0; w < width_; ++w) {
                to[w] = keep * x[w] + (even[w] + sign * odd[w]);
            }
        }
        finish_row(to, out, row);
    }

    // Rooms, in whole strips and panels.
    std::int64_t height_room() const noexcept { return padded_strips<T>(folded(height_)); }
    std::int64_t row_room() const noexcept { return padded_strips<T>(rows_); }
    std::int64_t width_room() const noexcept { return padded_rows<T>(width_); }
    std::int64_t half_width_room() const noexcept { return padded_rows<T>(folded(width_)); }
    std::int64_t column_room() const noexcept { return padded_rows<T>(columns_); }

    // A worker's scratch: two row buffers, two halves of a plane, two sets of lines, four
    // quarters of lines, the spectra.
    std::int64_t scratch_elements(int spectra) const noexcept {
        return 2 * width_room() * (1 + height_room() + row_room()) +
               4 * row_room() * half_width_room() + spectra * 4 * row_room() * column_room();
    }
    T* row_buffer(int worker, int which) const noexcept {
        return scratch_[worker] + which * width_room();
    }
    T* halves(int worker, int part) const noexcept {
        return row_buffer(worker, 2) + part * height_room() * width_room();
    }
    T* lines(int worker, int part) const noexcept {
        return halves(worker, 2) + part * row_room() * width_room();
    }
    T* quarters(int worker, int block) const noexcept {
        return lines(worker, 2) + block * row_room() * half_width_room();
    }
    T* spectrum(int worker, int index) const noexcept {
        return quarters(worker, 4) + index * 4 * row_room() * column_room();
    }

    std::int64_t height_;
    std::int64_t width_;
    std::int64_t rows_;     // frequencies 0 ... half_rows
    std::int64_t columns_;  // frequencies 0 ... half_columns
    Angles row_angles_;
    Angles column_angles_;
    Pair<T> rows_down_;     // (rows, folded height), left
    Pair<T> columns_down_;  // (folded width, columns), right
    Pair<T> columns_up_;    // (columns, folded width), right
    Pair<T> rows_up_;       // (folded height, rows), left
    Shares<T> scratch_;
};

}  // namespace ipse::IPSE_ISA
