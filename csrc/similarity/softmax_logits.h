// What both softmax passes agree on: how a similarity becomes a logit, and when one shift
// serves all rows.
#pragma once

#include <cstdint>

#include "base/shares.h"
#include "similarity/softmax_requests.h"
#include "similarity/tiles.h"
#include "similarity/unit_rows.h"

namespace ipse::IPSE_ISA {

// Rows and columns of a request, laid out; the columns are the rows where there are none.
template <class T>
class Sides {
public:
    Sides(const SoftmaxRequest& request, int threads)
        : left_(request.rows, request.normalize, threads),
          right_(request.columns.parts == 0 ? Stack{} : request.columns, request.normalize,
                 threads),
          symmetric_(request.columns.parts == 0) {}

    const UnitRows<T>& left() const noexcept { return left_; }
    const UnitRows<T>& right() const noexcept { return symmetric_ ? left_ : right_; }

private:
    UnitRows<T> left_;
    UnitRows<T> right_;
    bool symmetric_;
};

// A softmax needs its logits shifted by about their maximum, or exp leaves the range of T.
//
// Where no logit can exceed 35 in size, any similarity in range will do in the maximum's
// place: e^70 times any number of terms stays in range, and so does e^-70. It is that of the
// first row and the first column, computed as the product computes it: for equal rows every
// shifted logit is exactly 0. With one scale for all rows, an exponential is then shared by the row
// and the column it belongs to.
template <class T>
struct Shift {
    static constexpr double limit = 35.0;
    bool bounded = false;  // no maxima are looked for
    bool shared = false;   // and one exponential serves row and column
    T scale = T{1};
    T reference = T{0};

    Shift(const SoftmaxRequest& request, const Sides<T>& sides) noexcept {
        const double size = largest_scale(request, sides.left().rows());
        bounded = size * sides.left().largest_norm() * sides.right().largest_norm() < limit;
        shared = bounded && !request.scale_per_row;
        scale = static_cast<T>(request.scale[0]);
        reference = bounded ? first_similarity(sides.left(), sides.right()) : T{0};
    }

private:
    static double largest_scale(const SoftmaxRequest& request, std::int64_t rows) noexcept {
        double largest = 0.0;
        for (std::int64_t i = 0; i < (request.scale_per_row ? rows : 1); ++i) {
            const double size = request.scale[i] < 0.0 ? -request.scale[i] : request.scale[i];
            largest = size > largest || size != size ? size : largest;
        }
        return largest;
    }

    static T first_similarity(const UnitRows<T>& left, const UnitRows<T>& right) noexcept {
        const T* row = left.line(0);
        const T* column = right.line(0);
        T total{0};
        for (std::int64_t begin = 0; begin < left.depth(); begin += depth_block) {
            T block{0};
            for (std::int64_t k = begin; k < left.depth() && k < begin + depth_block; ++k) {
                block += row[k] * column[k];
            }
            total += block;
        }
        return total;
    }
};

}  // namespace ipse::IPSE_ISA
