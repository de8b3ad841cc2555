// The value of a second-moment loss through the N x N side.
#pragma once

#include <cstdint>

#include "base/multiply.h"
#include "base/parallel.h"
#include "base/sums.h"
#include "cross_correlation/plan.h"
#include "cross_correlation/triangle.h"

namespace ipse::IPSE_ISA {

// Both Gram matrices, accumulated strip by strip.
//
// The columns are dealt to `slots`, each with Gram matrices of its own, so that no
// thread waits for another; the slots are as many as cost no more memory than the two
// inputs (2 N^2 each against 2 N D). With more threads than slots, the rows of the
// triangle are dealt too, and each part normalises the strip again for itself.
template <class T, class Loss>
class GramForward {
public:
    GramForward(const StridedMatrix (&views)[2], const Loss& loss, int threads)
        : views_(views),
          loss_(loss),
          n_(views[0].rows),
          d_(views[0].cols),
          threads_(useful_threads(n_, n_, d_, threads)),
          // Four packed or normalised strips share L2 with the Gram tiles in use; 128
          // columns keep the depth of a pass long enough to hide its loads of C.
          plan_(n_, d_, 32 * 1024, 128, threads_),
          size_(padded_rows<T>(n_)),
          slots_(clamp(d_ / n_, 1, threads_ < plan_.count() ? threads_ : plan_.count())),
          parts_(clamp((threads_ + slots_ - 1) / slots_, 1, panel_count<T>(n_))),
          grams_(slots_, 2 * size_ * size_),
          strips_(threads_, 2 * plan_.view_elements()),
          packed_(threads_, 2 * size_ * plan_.width()),
          statistics_(threads_, plan_.width()),
          values_(1, slots_),
          products_(1, panel_count<T>(n_)) {}

    // moments: null, or room for (N, N + 1); see triangle.h.
    double run(T* moments) noexcept {
        parallel_for(slots_ * parts_, threads_, [&](std::int64_t item, int worker) {
            accumulate(item / parts_, item % parts_, worker);
        });
        parallel_for(panel_count<T>(n_), threads_,
                     [&](std::int64_t panel, int) { finish_rows(panel, moments); });
        return detail::sum_of(values_[0], slots_) +
               loss_.moment_weight() * detail::sum_of(products_[0], panel_count<T>(n_));
    }

private:
    static std::int64_t clamp(std::int64_t value, std::int64_t low, std::int64_t high) noexcept {
        return value < low ? low : (value > high ? high : value);
    }

    T* gram(std::int64_t slot, int view) const noexcept {
        return grams_[slot] + view * size_ * size_;
    }

    // Row where part `part` begins: rows 0..r of an upper triangle hold the share
    // 1 - (1 - r / N)^2 of it.
    std::int64_t part_begin(std::int64_t part) const noexcept {
        const double rest = 1.0 - static_cast<double>(part) / static_cast<double>(parts_);
        const double share = 1.0 - __builtin_sqrt(rest);
        const auto panel =
            static_cast<std::int64_t>(share * static_cast<double>(panel_count<T>(n_)) + 0.5);
        return part == parts_ ? n_ : panel * Panel<T>::rows;
    }

    void accumulate(std::int64_t slot, std::int64_t part, int worker) noexcept {
        const std::int64_t begin = plan_.count() * slot / slots_;
        const std::int64_t end = plan_.count() * (slot + 1) / slots_;
        const Block block{part_begin(part), part_begin(part + 1), 0, panel_count<T>(n_), true};
        double value = 0.0;
        for (std::int64_t index = begin; index < end; ++index) {
            T* room = strips_[worker];
            const Strip<T> strip =
                plan_.strip(index, room, room + plan_.view_elements(), statistics_[worker]);
            fill_strip(views_, loss_, strip);
            for (std::int64_t c = 0; c < strip.columns && part == 0; ++c) {
                value += loss_.column_value(strip.statistics[c]);
            }
            for (int view = 0; view < 2; ++view) {
                const PackedMatrix<T> packed{packed_[worker] + view * size_ * plan_.width(), n_,
                                             strip.columns};
                pack_samples(strip, view, packed, 0, block.row_begin / Panel<T>::rows);
                multiply_block(packed, packed, block, 0, strip.columns,
                               gram(slot, view) + block.row_begin * size_, size_, index > begin);
            }
        }
        if (part == 0) {
            values_[0][slot] = value;
        }
    }

    // For one panel of rows: the sum over the slots, its share of the product, and its
    // place in the moments.
    void finish_rows(std::int64_t panel, T* moments) noexcept {
        const std::int64_t first = panel * Panel<T>::rows;
        const std::int64_t last = n_ < first + Panel<T>::rows ? n_ : first + Panel<T>::rows;
        double product = 0.0;
        for (std::int64_t i = first; i < last; ++i) {
            for (int view = 0; view < 2; ++view) {
                T* line = gram(0, view) + i * size_;
                for (std::int64_t slot = 1; slot < slots_; ++slot) {
                    const T* other = gram(slot, view) + i * size_;
                    for (std::int64_t j = i; j < n_; ++j) {
                        line[j] += other[j];
                    }
                }
            }
            const T* k1 = gram(0, 0) + i * size_;
            const T* k2 = gram(0, 1) + i * size_;
            product += Loss::cross ? row_product(k1, k2, i)
                                   : row_product(k1, k1, i) + row_product(k2, k2, i);
        }
        products_[0][panel] = product;
        if (moments != nullptr) {
            keep(moments, first, last);
        }
    }

    // Row i of <A, B> for symmetric A and B: the diagonal once, the rest twice.
    double row_product(const T* a, const T* b, std::int64_t i) const noexcept {
        return static_cast<double>(a[i]) * static_cast<double>(b[i]) +
               2.0 * detail::dot(a + i + 1, b + i + 1, n_ - i - 1);
    }

    void keep(T* moments, std::int64_t first, std::int64_t last) const noexcept {
        const Triangle<T> upper = gram_triangle(moments, n_, 0);
        for (std::int64_t i = first; i < last; ++i) {
            for (std::int64_t j = i; j < n_; ++j) {
                upper.upper(i, j) = gram(0, 0)[i * size_ + j];
            }
        }
        // Column by column, so that the transposed triangle is written along its rows.
        const Triangle<T> lower = gram_triangle(moments, n_, 1);
        for (std::int64_t j = first; j < n_; ++j) {
            for (std::int64_t i = first; i < last && i <= j; ++i) {
                lower.upper(i, j) = gram(0, 1)[i * size_ + j];
            }
        }
    }

    const StridedMatrix (&views_)[2];
    const Loss& loss_;
    std::int64_t n_;
    std::int64_t d_;
    int threads_;
    StripPlan<T> plan_;
    std::int64_t size_;
    std::int64_t slots_;
    std::int64_t parts_;
    Shares<T> grams_;
    Shares<T> strips_;
    Shares<T> packed_;
    Shares<ColumnStatistics> statistics_;
    Shares<double> values_;
    Shares<double> products_;
};

}  // namespace ipse::IPSE_ISA
