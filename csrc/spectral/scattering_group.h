// The scattering transform of one group of planes, one plane in each vector lane.
//
// Every node of the tree is the same: wavelet terms from the spectrum above make a row, rows
// are transformed as they come, then columns, and each column goes through its modulus and the
// low pass at once while it lies in the first cache. Only nodes that have children transform
// their columns again. No second-order plane ever exists as a whole.
#pragma once

#include <cstdint>

#include "base/half.h"
#include "base/isa.h"
#include "spectral/fft.h"
#include "spectral/lanes.h"
#include "spectral/scattering_lowpass.h"
#include "spectral/scattering_sizes.h"
#include "spectral/scattering_transforms.h"
#include "spectral/scattering_wavelets.h"

namespace ipse::IPSE_ISA {

// What all groups share.
template <class T>
struct ScatteringTables {
    ScatteringSizes sizes;
    LevelTransforms<T> transforms;
    Wavelets<T> wavelets;
    Lowpass<T> lowpass;

    explicit ScatteringTables(const ScatteringRequest& request)
        : sizes(request),
          transforms(sizes),
          wavelets(sizes, request.wavelets),
          lowpass(sizes, request.lowpass_rows, request.lowpass_cols) {}
};

// Planes first ... first + count - 1 of the request, and the angles of their first wavelets.
struct ScatteringItem {
    std::int64_t first;
    std::int64_t count;
    int angle_begin;
    int angle_end;
};

template <class L>
class ScatteringGroup {
    using T = typename L::Scalar;
    using Vector = typename L::Vector;

public:
    // Values of T that one worker needs.
    static std::int64_t elements(const ScatteringSizes& sizes) noexcept {
        return L::lanes * (2 * (2 * sizes.half_spectrum(0) + sizes.rows * sizes.cols +
                                fft_scratch(longest(sizes)) + longest(sizes)) +
                           2 * longest(sizes) + sizes.out_height * sizes.cols + sizes.out_area() +
                           sizes.height * sizes.width);
    }

    ScatteringGroup(const ScatteringTables<T>& tables, const ScatteringRequest& request,
                    const ScatteringItem& item, T* room) noexcept
        : tables_(tables), sizes_(tables.sizes), request_(request), item_(item) {
        const ScatteringSizes& sizes = sizes_;
        input_ = take<Complex<L>>(room, sizes.half_spectrum(0));
        first_order_ = take<Complex<L>>(room, sizes.half_spectrum(0));
        plane_ = take<Complex<L>>(room, sizes.rows * sizes.cols);
        scratch_ = take<Complex<L>>(room, fft_scratch(longest(sizes)));
        line_ = take<Complex<L>>(room, longest(sizes));
        columns_[0] = take<Vector>(room, longest(sizes));
        columns_[1] = take<Vector>(room, longest(sizes));
        low_rows_ = take<Vector>(room, sizes.out_height * sizes.cols);
        low_ = take<Vector>(room, sizes.out_area());
        pixels_ = take<Vector>(room, sizes.height * sizes.width);
    }

    void run() noexcept {
        read_pixels();
        transform_input();
        for (int scale = 0; scale < sizes_.scales; ++scale) {
            for (int angle = item_.angle_begin; angle < item_.angle_end; ++angle) {
                const bool parent = sizes_.has_children(scale);
                scatter(input_, 0, scale, angle, parent ? first_order_ : nullptr);
                write(sizes_.first_order_channel(scale, angle));
                if (parent) {
                    scatter_children(scale, angle);
                }
            }
        }
    }

private:
    static std::int64_t longest(const ScatteringSizes& sizes) noexcept {
        return sizes.rows > sizes.cols ? sizes.rows : sizes.cols;
    }

    template <class E>
    static E* take(T*& room, std::int64_t count) noexcept {
        E* taken = reinterpret_cast<E*>(room);
        room += count * static_cast<std::int64_t>(sizeof(E) / sizeof(T));
        return taken;
    }

    // Lanes without a plane of their own repeat the last one.
    void read_pixels() noexcept {
        visit_dtype(request_.plane.dtype, [&](auto storage) {
            using S = decltype(storage);
            for (int lane = 0; lane < L::lanes; ++lane) {
                const std::int64_t plane =
                    item_.first + (lane < item_.count ? lane : item_.count - 1);
                const S* from =
                    static_cast<const S*>(request_.plane.data) + plane * request_.plane_stride;
                T* to = reinterpret_cast<T*>(pixels_) + lane;
                for (std::int64_t y = 0; y < sizes_.height; ++y) {
                    const S* line = from + y * request_.plane.row_stride;
                    for (std::int64_t x = 0; x < sizes_.width; ++x, to += L::lanes) {
                        *to = read<T>(line[x * request_.plane.col_stride]);
                    }
                }
            }
        });
    }

    // The padded plane's spectrum and its own low pass, by pairs of columns.
    void transform_input() noexcept {
        const std::int64_t pad = std::int64_t{1} << sizes_.scales;
        for (std::int64_t x = 0; x < sizes_.cols; x += 2) {
            for (int i = 0; i < 2; ++i) {
                const Vector* from = pixels_ + reflect(x + i - pad, sizes_.width);
                for (std::int64_t y = 0; y < sizes_.rows; ++y) {
                    columns_[i][y] = from[reflect(y - pad, sizes_.height) * sizes_.width];
                }
                lowpass_column(0, x + i, columns_[i]);
            }
            transform_pair(0, x, input_);
        }
        transform_rows(0, input_);
        if (item_.angle_begin == 0) {
            finish_lowpass(0);
            write(0);
        }
    }

    void scatter_children(int scale1, int angle1) noexcept {
        for (int scale2 = scale1 + 1; scale2 < sizes_.scales; ++scale2) {
            for (int angle2 = 0; angle2 < sizes_.angles; ++angle2) {
                scatter(first_order_, scale1, scale2, angle2, nullptr);
                write(sizes_.second_order_channel(scale1, angle1, scale2, angle2));
            }
        }
    }

    // low_ = |source * psi| * phi on the output grid; the modulus' spectrum to `spectrum`, if any.
    [[gnu::noinline]] void scatter(const Complex<L>* source, int level, int scale, int angle,
                                   Complex<L>* spectrum) noexcept {
        const std::int64_t rows = sizes_.level_rows(scale);
        const std::int64_t cols = sizes_.level_cols(scale);
        const FftPlan<T>& along_row = tables_.transforms.along_row(scale);
        const FftPlan<T>& along_column = tables_.transforms.along_column(scale);
        const WaveletTerms<T>& terms = tables_.wavelets.terms(level, scale, angle);
        for (std::int64_t y = 0; y < rows; ++y) {
            multiply_row(source, terms.terms, terms.begin + y * cols, cols);
            fft(along_row, line_, 1, plane_ + y * cols, 1, scratch_);
        }
        for (std::int64_t x = 0; x < cols; x += 2) {
            for (int i = 0; i < 2; ++i) {
                fft(along_column, plane_ + x + i, cols, line_, 1, scratch_);
                for (std::int64_t y = 0; y < rows; ++y) {
                    columns_[i][y] = modulus(line_[y]);
                }
                lowpass_column(scale, x + i, columns_[i]);
            }
            if (spectrum != nullptr) {
                transform_pair(scale, x, spectrum);
            }
        }
        if (spectrum != nullptr) {
            transform_rows(scale, spectrum);
        }
        finish_lowpass(scale);
    }

    // line_ = one row of source times wavelet, folded. Real and imaginary parts change places:
    // the forward transform of that is the inverse one, with its parts in each other's place
    // too, which the modulus does not see.
    [[gnu::noinline]] void multiply_row(const Complex<L>* source, const Term<T>* terms,
                                        const std::int32_t* begin, std::int64_t cols) noexcept {
        for (std::int64_t x = 0; x < cols; ++x) {
            Vector re{};
            Vector im{};
            for (std::int32_t i = begin[x]; i < begin[x + 1]; ++i) {
                const Term<T>& term = terms[i];
                re += source[term.source].re * term.real_weight;
                im += source[term.source].im * term.imaginary_weight;
            }
            line_[x] = {im, re};
        }
    }

    // Two real columns in one complex transform: their spectra, twice as large, to columns x and
    // x + 1 of the half spectrum.
    [[gnu::noinline]] void transform_pair(int level, std::int64_t x,
                                          Complex<L>* spectrum) noexcept {
        const std::int64_t rows = sizes_.level_rows(level);
        const std::int64_t cols = sizes_.level_cols(level);
        for (std::int64_t y = 0; y < rows; ++y) {
            line_[y] = {columns_[0][y], columns_[1][y]};
        }
        fft(tables_.transforms.along_column(level), line_, 1, line_, 1, scratch_);
        for (std::int64_t k = 0; k <= rows / 2; ++k) {
            const Complex<L>& low = line_[k];
            const Complex<L>& high = line_[k == 0 ? 0 : rows - k];
            Complex<L>* to = spectrum + k * cols + x;
            to[0] = {low.re + high.re, low.im - high.im};
            to[1] = {low.im + high.im, high.re - low.re};
        }
    }

    void transform_rows(int level, Complex<L>* spectrum) noexcept {
        const std::int64_t cols = sizes_.level_cols(level);
        for (std::int64_t k = 0; k <= sizes_.level_rows(level) / 2; ++k) {
            Complex<L>* row = spectrum + k * cols;
            fft(tables_.transforms.along_row(level), row, 1, row, 1, scratch_);
        }
    }

    void lowpass_column(int level, std::int64_t x, const Vector* column) noexcept {
        apply<L>(tables_.lowpass.rows(level), column, low_rows_ + x, sizes_.level_cols(level));
    }

    void finish_lowpass(int level) noexcept {
        const std::int64_t cols = sizes_.level_cols(level);
        for (std::int64_t y = 0; y < sizes_.out_height; ++y) {
            apply<L>(tables_.lowpass.cols(level), low_rows_ + y * cols, low_ + y * sizes_.out_width,
                     1);
        }
    }

    [[gnu::noinline]] void write(std::int64_t channel) noexcept {
        const std::int64_t area = sizes_.out_area();
        for (std::int64_t lane = 0; lane < item_.count; ++lane) {
            T* to = static_cast<T*>(request_.out.data) +
                    ((item_.first + lane) * sizes_.channels + channel) * area;
            const T* from = reinterpret_cast<const T*>(low_) + lane;
            for (std::int64_t i = 0; i < area; ++i) {
                to[i] = from[i * L::lanes];
            }
        }
    }

    const ScatteringTables<T>& tables_;
    const ScatteringSizes& sizes_;
    const ScatteringRequest& request_;
    ScatteringItem item_;
    Complex<L>* input_;        // half spectrum of the padded planes
    Complex<L>* first_order_;  // half spectrum of the first modulus that is being scattered
    Complex<L>* plane_;        // between the transform of the rows and that of the columns
    Complex<L>* scratch_;
    Complex<L>* line_;
    Vector* columns_[2];
    Vector* low_rows_;  // low pass along the columns only
    Vector* low_;
    Vector* pixels_;
};

}  // namespace ipse::IPSE_ISA
