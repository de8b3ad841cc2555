// Filters and energies of a window of frequencies: one weight for each |k| and |l|.
#pragma once

#include <cstdint>

#include "base/parallel.h"
#include "spectral/window_transform.h"

namespace ipse::IPSE_ISA {

template <class T>
class Band {
public:
    Band(const WindowRequest& request, const StridedMatrix& mask)
        : request_(request), mask_(mask), transform_(request, 1) {}

    void filter(const BandFilter& request) const noexcept {
        parallel_for(request_.count, plane_threads(request_), [&](std::int64_t plane, int worker) {
            const std::int64_t first = plane * request_.height;
            transform_.analyse(request_.planes, first, worker, 0);
            for (int block = 0; block < 4; ++block) {
                for (std::int64_t k = 0; k < transform_.rows(); ++k) {
                    T* line = transform_.line(worker, 0, static_cast<Block4>(block), k);
                    for (std::int64_t l = 0; l < transform_.columns(); ++l) {
                        line[l] *= static_cast<T>(weight(k, l));
                    }
                }
            }
            transform_.synthesise(worker, 0, static_cast<T>(request.keep), request_.planes,
                                  request.out, first);
        });
    }

    void energy(const StridedMatrix& to) const noexcept {
        parallel_for(request_.count, plane_threads(request_), [&](std::int64_t plane, int worker) {
            transform_.analyse(request_.planes, plane * request_.height, worker, 0);
            double total = 0.0;
            for (int block = 0; block < 4; ++block) {
                for (std::int64_t k = 0; k < transform_.rows(); ++k) {
                    const T* line = transform_.line(worker, 0, static_cast<Block4>(block), k);
                    double sum = 0.0;
                    for (std::int64_t l = 0; l < transform_.columns(); ++l) {
                        const double value = static_cast<double>(line[l]);
                        sum += weight(k, l) * multiplicity(l, transform_.width()) * value * value;
                    }
                    total += sum * multiplicity(k, transform_.height());
                }
            }
            const double area =
                static_cast<double>(transform_.height()) * static_cast<double>(transform_.width());
            static_cast<T*>(to.data)[plane * to.row_stride] = static_cast<T>(total / area);
        });
    }

private:
    double weight(std::int64_t k, std::int64_t l) const noexcept {
        return static_cast<const double*>(mask_.data)[k * mask_.row_stride + l * mask_.col_stride];
    }

    const WindowRequest& request_;
    const StridedMatrix& mask_;
    WindowTransform<T> transform_;
};

}  // namespace ipse::IPSE_ISA
