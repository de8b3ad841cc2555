// The gradient of a second-moment loss with respect to both views.
//
// Either side is the same picture: for every strip of columns, G = A_v * B with all
// samples as rows, then the epilogue of loss_terms.h on the finished strip:
//   samples side:  A_v = K_partner (N x N),  B = the view's own normalised strip
//   features side: A_v = Z_partner (N x D),  B = the strip of offdiag(C), packed as it is read
#pragma once

#include <cstdint>

#include "base/multiply.h"
#include "base/parallel.h"
#include "cross_correlation/plan.h"
#include "cross_correlation/triangle.h"

namespace ipse::IPSE_ISA {

template <class T, class Loss>
class Backward {
public:
    template <class Parameters>
    Backward(const BackwardRequest<Parameters>& request, const Loss& loss)
        : views_(request.forward.view),
          grads_(request.grad_view),
          moments_(static_cast<T*>(request.forward.moments.data)),
          grad_(request.grad),
          loss_(loss),
          samples_side_(request.forward.side == Side::samples),
          n_(views_[0].rows),
          d_(views_[0].cols),
          depth_(samples_side_ ? n_ : d_),
          threads_(useful_threads(n_, d_, depth_, request.forward.threads)),
          // 256 x 256 floats: the strip, the other view's and G stay in L2 together.
          plan_(n_, d_, 64 * 1024, 64, threads_),
          left_(2, PackedMatrix<T>::elements(n_, depth_)),
          strips_(threads_, 2 * plan_.view_elements()),
          statistics_(threads_, plan_.width()),
          terms_(threads_, 4 * plan_.width()),
          products_(threads_, (n_ + Panel<T>::strip) * plan_.width()),
          right_(threads_, samples_side_ ? 0 : depth_block * plan_.width()) {}

    void run() noexcept {
        if (samples_side_) {
            pack_grams();
        } else {
            pack_views();
        }
        parallel_for(plan_.count(), threads_,
                     [&](std::int64_t index, int worker) { differentiate(index, worker); });
    }

private:
    static int partner(int view) noexcept { return Loss::cross ? 1 - view : view; }
    bool wanted(int view) const noexcept { return grads_[view].data != nullptr; }
    // The left operand of the gradient of `view`.
    PackedMatrix<T> left(int view) const noexcept { return {left_[view], n_, depth_}; }

    void pack_grams() noexcept {
        const std::int64_t panels = panel_count<T>(n_);
        parallel_for(2 * panels, threads_, [&](std::int64_t item, int) {
            const int view = static_cast<int>(item / panels);
            if (wanted(view)) {
                const Triangle<T> gram = gram_triangle(moments_, n_, partner(view));
                pack_panel(gram, n_, item % panels, 0, n_, left(view).panel(item % panels));
            }
        });
    }

    void pack_views() noexcept {
        parallel_for(plan_.count(), threads_, [&](std::int64_t index, int worker) {
            const Strip<T> strip = load_strip(index, worker);
            for (int view = 0; view < 2; ++view) {
                if (wanted(view)) {
                    pack_samples(strip, partner(view), left(view), strip.first);
                }
            }
        });
    }

    Strip<T> load_strip(std::int64_t index, int worker) const noexcept {
        T* room = strips_[worker];
        const Strip<T> strip =
            plan_.strip(index, room, room + plan_.view_elements(), statistics_[worker]);
        fill_strip(views_, loss_, strip);
        return strip;
    }

    void differentiate(std::int64_t index, int worker) noexcept {
        const Strip<T> strip = load_strip(index, worker);
        for (int view = 0; view < 2; ++view) {
            if (!wanted(view)) {
                continue;
            }
            T* product = products_[worker];
            if (samples_side_) {
                const PackedMatrix<T> right{strip.view[view], strip.columns, n_};
                multiply_block(left(view), right, whole(strip), 0, n_, product, plan_.width(),
                               false);
            } else {
                multiply_features(strip, view, product, right_[worker]);
            }
            find_terms(strip, view, product, terms_[worker]);
            visit_dtype(grads_[view].dtype, [&](auto storage) {
                using S = decltype(storage);
                if constexpr (std::is_same_v<T, typename Storage<S>::Compute>) {
                    write_gradient<S>(strip, view, product, terms_[worker]);
                }
            });
        }
    }

    Block whole(const Strip<T>& strip) const noexcept { return {0, n_, 0, strip.panels(), false}; }

    // G = Z_partner * offdiag(C)[strip]^T, the strip packed depth_block columns at a time.
    void multiply_features(const Strip<T>& strip, int view, T* product, T* packed) const noexcept {
        for (std::int64_t k = 0; k < d_; k += depth_block) {
            const std::int64_t here = d_ - k < depth_block ? d_ - k : depth_block;
            const PackedMatrix<T> right{packed, strip.columns, here};
            for (std::int64_t p = 0; p < strip.panels(); ++p) {
                pack_moments(strip.first, strip.columns, p, view, k, here, right.panel(p));
            }
            PackedMatrix<T> shifted = left(view);
            shifted.data += k * Panel<T>::rows;
            multiply_block(shifted, right, whole(strip), 0, here, product, plan_.width(), k > 0);
        }
    }

    // Panel p of the strip: element (i, k) is offdiag(C)(i, k) for view 1 and (k, i) for view 2.
    void pack_moments(std::int64_t first, std::int64_t columns, std::int64_t p, int view,
                      std::int64_t k, std::int64_t depth, T* to) const noexcept {
        constexpr std::int64_t rows = Panel<T>::rows;
        const std::int64_t row = first + p * rows;
        if constexpr (!Loss::cross) {
            pack_panel(covariance_triangle(moments_, d_, view), d_, row / rows, k, k + depth, to);
        } else {
            const std::int64_t row_stride = view == 0 ? d_ : 1;
            const std::int64_t depth_stride = view == 0 ? 1 : d_;
            const Source<T> source{moments_ + first * row_stride + k * depth_stride, row_stride,
                                   depth_stride};
            pack_panel(source, columns, p, 0, depth, to);
            const std::int64_t end = row + rows < k + depth ? row + rows : k + depth;
            for (std::int64_t i = row > k ? row : k; i < end; ++i) {
                to[(i - k) * rows + i - row] = T{0};
            }
        }
    }

    // The four coefficients of every column, in the compute type, one array after another.
    void find_terms(const Strip<T>& strip, int view, const T* product, T* terms) const noexcept {
        constexpr int rows = Panel<T>::rows;
        const std::int64_t width = plan_.width();
        for (std::int64_t p = 0; p < strip.panels(); ++p) {
            double projection[1][rows] = {};
            if constexpr (Loss::cross) {
                const T* own = strip.panel(view, p);
                detail::sum_over_samples<T, 1>(
                    n_,
                    [&](std::int64_t i, Vector<T>(&sums)[1][Panel<T>::vectors]) {
                        for (int v = 0; v < Panel<T>::vectors; ++v) {
                            const int at = v * Simd<T>::lanes;
                            sums[0][v] += load(product + i * width + p * rows + at) *
                                          load(own + i * rows + at);
                        }
                    },
                    projection);
            }
            for (int c = 0; c < rows; ++c) {
                const std::int64_t at = p * rows + c;
                const GradientTerms column =
                    loss_.gradient(view, strip.statistics[at], loss_.alpha() * projection[0][c]);
                const double scale = at < strip.columns ? grad_ * column.scale : 0.0;
                terms[at] = static_cast<T>(scale * loss_.alpha());
                terms[width + at] = static_cast<T>(scale * column.own);
                terms[2 * width + at] = static_cast<T>(scale * column.other);
                terms[3 * width + at] = static_cast<T>(scale * column.constant);
            }
        }
    }

    template <class S>
    void write_gradient(const Strip<T>& strip, int view, const T* product,
                        const T* terms) const noexcept {
        constexpr int rows = Panel<T>::rows;
        const std::int64_t width = plan_.width();
        S* out = static_cast<S*>(grads_[view].data) + strip.first;
        for (std::int64_t n = 0; n < n_; ++n, out += d_) {
            for (std::int64_t p = 0; p < strip.panels(); ++p) {
                const T* own = strip.panel(view, p) + n * rows;
                const T* other = strip.panel(1 - view, p) + n * rows;
                const T* g = product + n * width + p * rows;
                const T* t = terms + p * rows;
                alignas(IPSE_VECTOR_BYTES) T line[rows];
                for (int c = 0; c < rows; ++c) {
                    line[c] = t[c] * g[c] + t[width + c] * own[c] + t[2 * width + c] * other[c] +
                              t[3 * width + c];
                }
                const std::int64_t present = strip.columns - p * rows;
                if (present >= rows) {
                    for (int c = 0; c < rows; ++c) {
                        out[p * rows + c] = write<S>(line[c]);
                    }
                } else {
                    for (std::int64_t c = 0; c < present; ++c) {
                        out[p * rows + c] = write<S>(line[c]);
                    }
                }
            }
        }
    }

    const StridedMatrix (&views_)[2];
    const StridedMatrix (&grads_)[2];
    T* moments_;
    double grad_;
    const Loss& loss_;
    bool samples_side_;
    std::int64_t n_;
    std::int64_t d_;
    std::int64_t depth_;
    int threads_;
    StripPlan<T> plan_;
    Shares<T> left_;
    Shares<T> strips_;
    Shares<ColumnStatistics> statistics_;
    Shares<T> terms_;
    Shares<T> products_;
    Shares<T> right_;
};

}  // namespace ipse::IPSE_ISA
