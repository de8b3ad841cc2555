// One side of a similarity: its rows converted to the compute type, divided by their length
// where that is wanted, laid out for both products, and the way back for the gradient.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "base/half.h"
#include "base/panels.h"
#include "base/parallel.h"
#include "base/shares.h"
#include "base/sums.h"
#include "similarity/softmax_requests.h"

namespace ipse::IPSE_ISA {

// Shorter rows count as zero, as in torch.nn.functional.normalize.
constexpr double norm_floor = 1e-12;

template <class T>
class UnitRows {
public:
    UnitRows(const Stack& stack, bool normalize, int threads)
        : stack_(stack),
          normalize_(normalize),
          rows_(stack.rows()),
          depth_(stack.cols()),
          // One cache line more than whole panels: lines a power of two apart would fall into
          // the same few sets of the L1 cache.
          leading_(padded_rows<T>(depth_) + 64 / static_cast<std::int64_t>(sizeof(T))),
          lines_(1, padded_rows<T>(rows_) * leading_),
          panels_(1, PackedMatrix<T>::elements(rows_, depth_)),
          inverse_(1, padded_rows<T>(rows_)),
          largest_(1, panel_count<T>(rows_)) {
        parallel_for(panel_count<T>(rows_), threads,
                     [this](std::int64_t panel, int) { fill_panel(panel); });
    }

    std::int64_t rows() const noexcept { return rows_; }
    std::int64_t depth() const noexcept { return depth_; }
    std::int64_t padded_depth() const noexcept { return padded_rows<T>(depth_); }
    std::int64_t leading() const noexcept { return leading_; }

    // (D) values of a row, zeros up to leading().
    const T* line(std::int64_t row) const noexcept { return lines_[0] + row * leading_; }
    PackedMatrix<T> packed() const noexcept { return {panels_[0], rows_, depth_}; }

    // No row is longer; infinity where one is not finite.
    double largest_norm() const noexcept {
        double largest = 0.0;
        for (std::int64_t panel = 0; panel < panel_count<T>(rows_); ++panel) {
            largest = largest_[0][panel] > largest ? largest_[0][panel] : largest;
        }
        return largest;
    }

    // Writes the gradient by the original row, given that by the unit row (depth values).
    void write_gradient(std::int64_t row, const T* grad, const Stack& to) const noexcept {
        std::int64_t local = row;
        const StridedMatrix& part = part_of(to, local);
        if (part.data == nullptr) {
            return;
        }
        // d(x / |x|): what lies along the row does not change its direction.
        const T* unit = line(row);
        const T along = normalize_ ? static_cast<T>(detail::dot(grad, unit, depth_)) : T{0};
        const T inverse = inverse_[0][row];
        visit_dtype(part.dtype, [&](auto storage) {
            using S = decltype(storage);
            S* out = static_cast<S*>(part.data) + local * part.row_stride;
            for (std::int64_t d = 0; d < depth_; ++d) {
                out[d * part.col_stride] = write<S>(inverse * (grad[d] - along * unit[d]));
            }
        });
    }

private:
    const StridedMatrix& part_of(const Stack& stack, std::int64_t& row) const noexcept {
        const std::int64_t first = stack_.part[0].rows;
        if (row < first) {
            return stack.part[0];
        }
        row -= first;
        return stack.part[1];
    }

    void fill_panel(std::int64_t panel) noexcept {
        const std::int64_t first = panel * Panel<T>::rows;
        const std::int64_t last = rows_ < first + Panel<T>::rows ? rows_ : first + Panel<T>::rows;
        double largest = 0.0;
        for (std::int64_t row = first; row < last; ++row) {
            const double norm = fill_line(row);
            largest = norm > largest || norm != norm ? norm : largest;
        }
        const double finite = std::numeric_limits<double>::max();
        largest_[0][panel] = largest <= finite ? largest : std::numeric_limits<double>::infinity();
        const Source<T> source{lines_[0], leading_, 1};
        pack_panel(source, rows_, panel, 0, depth_, packed().panel(panel));
    }

    double fill_line(std::int64_t row) noexcept {
        std::int64_t local = row;
        const StridedMatrix& part = part_of(stack_, local);
        T* to = lines_[0] + row * leading_;
        visit_dtype(part.dtype, [&](auto storage) {
            using S = decltype(storage);
            const S* from = static_cast<const S*>(part.data) + local * part.row_stride;
            if (part.col_stride == 1) {
                for (std::int64_t d = 0; d < depth_; ++d) {
                    to[d] = read<T>(from[d]);
                }
            } else {
                for (std::int64_t d = 0; d < depth_; ++d) {
                    to[d] = read<T>(from[d * part.col_stride]);
                }
            }
        });
        for (std::int64_t d = depth_; d < leading_; ++d) {
            to[d] = T{0};
        }
        const double norm = length(to);
        if (!normalize_) {
            inverse_[0][row] = T{1};
            return norm;
        }
        const bool zero = norm < norm_floor;
        const T inverse = zero ? T{0} : static_cast<T>(1.0 / norm);
        for (std::int64_t d = 0; d < depth_; ++d) {
            to[d] *= inverse;
        }
        inverse_[0][row] = inverse;
        return norm == norm ? 1.0 : norm;
    }

    double length(const T* line) const noexcept {
        const double square = detail::dot(line, line, depth_);
        if (square < static_cast<double>(std::numeric_limits<T>::max())) {
            return std::sqrt(square);
        }
        double wide = 0.0;  // the squares may have overflowed T
        for (std::int64_t d = 0; d < depth_; ++d) {
            wide += static_cast<double>(line[d]) * static_cast<double>(line[d]);
        }
        return std::sqrt(wide);
    }

    Stack stack_;
    bool normalize_;
    std::int64_t rows_;
    std::int64_t depth_;
    std::int64_t leading_;
    Shares<T> lines_;
    Shares<T> panels_;
    Shares<T> inverse_;
    Shares<double> largest_;
};

}  // namespace ipse::IPSE_ISA
