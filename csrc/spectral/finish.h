// What happens to each value of a crop on its way out, column by column of a panel:
// y = scale * (y - emit border) + shift. The border term is that of even Fourier crops.
#pragma once

#include "spectral/fold.h"

namespace ipse::IPSE_ISA {

template <class T>
class Finish {
public:
    explicit Finish(const CropRequest& request) noexcept
        : scales_(request.scale), shifts_(request.shift) {}

    void set_channel(int begin, int end, std::int64_t channel) noexcept {
        const T scale = scales_ == nullptr ? T{1} : static_cast<T>(scales_[channel]);
        const T shift = shifts_ == nullptr ? T{0} : static_cast<T>(shifts_[channel]);
        for (int c = begin; c < end; ++c) {
            scale_[c] = scale;
            shift_[c] = shift;
        }
    }

    // emit: of the height, one value for each of the columns.
    void set_border(int begin, int end, double corner, const double* emit) noexcept {
        for (int c = begin; c < end; ++c) {
            border_[c] = static_cast<T>(corner * emit[c - begin]);
        }
    }

    // emit: one value for each row, null: no border term.
    void apply(std::int64_t rows, const double* emit, PanelRows<T> y) const noexcept {
        if (emit != nullptr) {
            for (std::int64_t q = 0; q < rows; ++q) {
                const T weight = static_cast<T>(emit[q]);
                T* row = y[q];
                for (int c = 0; c < Panel<T>::rows; ++c) {
                    row[c] -= weight * border_[c];
                }
            }
        }
        if (scales_ != nullptr || shifts_ != nullptr) {
            for (std::int64_t q = 0; q < rows; ++q) {
                T* row = y[q];
                for (int c = 0; c < Panel<T>::rows; ++c) {
                    row[c] = row[c] * scale_[c] + shift_[c];
                }
            }
        }
    }

private:
    const double* scales_;
    const double* shifts_;
    T scale_[Panel<T>::rows] = {};
    T shift_[Panel<T>::rows] = {};
    T border_[Panel<T>::rows] = {};
};

}  // namespace ipse::IPSE_ISA
