// Wavelets as lists of terms: which entries of a spectrum, times what, make one entry of the
// product, subsampled.
//
// Subsampling a plane folds its spectrum, so one entry of the result sums up to 4^(j2 - j1)
// products. Wavelets are narrow in frequency: most of those products are left out, and what is
// left is written down once for each entry. The spectrum of a real plane is kept by half
// (rows 0 ... rows / 2); terms on the other half read the mirrored entry and conjugate it.
#pragma once

#include <cstdint>

#include "base/isa.h"
#include "base/workspace.h"
#include "spectral/scattering_sizes.h"

namespace ipse::IPSE_ISA {

// What is below this, relative to the wavelet's largest entry, is left out: together the
// omitted entries stay below the rounding of the sum.
template <class T>
constexpr double negligible = sizeof(T) == 4 ? 1e-9 : 1e-18;

template <class T>
struct Term {
    std::int32_t source;  // in the half spectrum
    T real_weight;
    T imaginary_weight;  // the same, or its negative where the source is conjugated
};

// Terms of entry i: terms[begin[i]] ... terms[begin[i + 1] - 1].
template <class T>
struct WaveletTerms {
    const Term<T>* terms;
    const std::int32_t* begin;
};

template <class T>
class Wavelets {
public:
    Wavelets(const ScatteringSizes& sizes, const double* spectra)
        : sizes_(sizes), spectra_(spectra) {
        std::int64_t terms = 0;
        std::int64_t entries = 0;
        for_each_used([&](int level, int scale) {
            terms += sizes_.level_rows(level) * sizes_.level_cols(level);
            entries += sizes_.level_rows(scale) * sizes_.level_cols(scale) + 1;
        });
        const std::int64_t angles = sizes_.angles;
        terms_ = Workspace::elements(angles * terms, sizeof(Term<T>));
        begins_ = Workspace::elements(angles * entries, sizeof(std::int32_t));
        const std::int64_t lists = std::int64_t{sizes_.scales} * sizes_.scales * angles;
        lists_ = Workspace::elements(lists, sizeof(WaveletTerms<T>));

        Term<T>* term = static_cast<Term<T>*>(terms_.data());
        std::int32_t* begin = static_cast<std::int32_t*>(begins_.data());
        for_each_used([&](int level, int scale) {
            for (int angle = 0; angle < sizes_.angles; ++angle) {
                list(level, scale, angle) = {term, begin};
                term += write(level, scale, angle, term, begin);
                begin += sizes_.level_rows(scale) * sizes_.level_cols(scale) + 1;
            }
        });
    }

    const WaveletTerms<T>& terms(int level, int scale, int angle) const noexcept {
        return list(level, scale, angle);
    }

private:
    template <class Visit>
    void for_each_used(const Visit& visit) const {
        for (int level = 0; level < sizes_.scales; ++level) {
            for (int scale = level; scale < sizes_.scales; ++scale) {
                if (is_used(sizes_, level, scale)) {
                    visit(level, scale);
                }
            }
        }
    }

    WaveletTerms<T>& list(int level, int scale, int angle) const noexcept {
        const int index = (level * sizes_.scales + scale) * sizes_.angles + angle;
        return static_cast<WaveletTerms<T>*>(lists_.data())[index];
    }

    // The place in the full spectrum of an entry of a level's: high frequencies are cut off.
    static std::int64_t full_index(std::int64_t index, std::int64_t length,
                                   std::int64_t full) noexcept {
        return 2 * index < length ? index : full - (length - index);
    }

    std::int64_t write(int level, int scale, int angle, Term<T>* terms,
                       std::int32_t* begin) const noexcept {
        const std::int64_t rows = sizes_.level_rows(level);
        const std::int64_t cols = sizes_.level_cols(level);
        const std::int64_t to_rows = sizes_.level_rows(scale);
        const std::int64_t to_cols = sizes_.level_cols(scale);
        const std::int64_t area = sizes_.rows * sizes_.cols;
        const double* spectrum = spectra_ + (std::int64_t{scale} * sizes_.angles + angle) * area;
        double least = 0;
        for (std::int64_t i = 0; i < area; ++i) {
            const double size = spectrum[i] < 0 ? -spectrum[i] : spectrum[i];
            least = size > least ? size : least;
        }
        least *= negligible<T>;
        // The inverse transform divides by its area and the folding averages: together by the
        // area of the source. The halved spectra (see real_pair) hold twice the plane's.
        const double scaling = 0.5 / static_cast<double>(rows * cols);
        std::int32_t count = 0;
        for (std::int64_t row = 0; row < to_rows; ++row) {
            for (std::int64_t col = 0; col < to_cols; ++col) {
                *begin++ = count;
                for (std::int64_t k = row; k < rows; k += to_rows) {
                    const double* line = spectrum + full_index(k, rows, sizes_.rows) * sizes_.cols;
                    for (std::int64_t l = col; l < cols; l += to_cols) {
                        const double value = line[full_index(l, cols, sizes_.cols)];
                        if ((value < 0 ? -value : value) <= least) {
                            continue;
                        }
                        const bool mirrored = 2 * k > rows;
                        const std::int64_t source =
                            mirrored ? (rows - k) * cols + (l == 0 ? 0 : cols - l) : k * cols + l;
                        const T weight = static_cast<T>(scaling * value);
                        terms[count++] = {static_cast<std::int32_t>(source), weight,
                                          mirrored ? -weight : weight};
                    }
                }
            }
        }
        *begin = count;
        return count;
    }

    ScatteringSizes sizes_;
    const double* spectra_;
    Workspace terms_;
    Workspace begins_;
    Workspace lists_;
};

}  // namespace ipse::IPSE_ISA
