// Batch style standardisation: amplitudes of the low frequencies exchanged, phases kept.
//
// With U = F / |F| of plane p and A the amplitude asked for, F becomes A U inside the window.
// A frequency whose amplitude is below eps * H * W has no phase worth keeping: U = 1 there, a
// constant. Only the change A U - F is transformed back, so that a plane that has the
// amplitudes already comes out bit by bit as it went in.
//
// Gradient, G the transform of the incoming gradient: outside the window it passes. Inside, the
// part of G along U moves the amplitude, dA = Re(conj(U) G), and the part across it turns the
// phase: F gets i U (A / |F|) Im(conj(U) G).
#pragma once

#include <cstdint>

#include "base/parallel.h"
#include "spectral/band.h"
#include "spectral/frequency_pairs.h"
#include "spectral/window_transform.h"

namespace ipse::IPSE_ISA {

template <class T>
class Style {
public:
    explicit Style(const WindowRequest& request, double eps, int spectra)
        : request_(request),
          least_(static_cast<T>(eps * static_cast<double>(request.height) *
                                static_cast<double>(request.planes.cols))),
          lines_(2 * request.half_rows + 1 < request.height ? 2 * request.half_rows + 1
                                                            : request.height),
          transform_(request, spectra) {}

    void amplitude(const StridedMatrix& to) const noexcept {
        each_plane([&](std::int64_t plane, int worker) {
            T* line = values(to, plane);
            for (std::int64_t k = 0; k < transform_.rows(); ++k) {
                amplitudes(pairs(worker, 0, k), transform_.columns(), line + plus_row(k),
                           line + minus_row(k));
            }
        });
    }

    void amplitude_backward(const StyleAmplitudeBackward& request) const noexcept {
        each_plane([&](std::int64_t plane, int worker) {
            const T* line = values(request.grad, plane);
            for (std::int64_t k = 0; k < transform_.rows(); ++k) {
                // A row that stands for both signs is one number, shared between the two.
                const T scale = (single(k) ? T{0.5} : T{1}) / row_share(k);
                amplitudes_back(pairs(worker, 0, k), transform_.columns(), line + plus_row(k),
                                line + minus_row(k), scale, transform_.width());
            }
            transform_.synthesise(worker, 0, T{0}, request_.planes, request.grad_planes,
                                  plane * request_.height);
        });
    }

    void standardize(const StyleStandardize& request) const noexcept {
        each_plane([&](std::int64_t plane, int worker) {
            const T* line = values(request.amplitude, plane % request.amplitude.rows);
            for (std::int64_t k = 0; k < transform_.rows(); ++k) {
                exchange(pairs(worker, 0, k), transform_.columns(), line + plus_row(k),
                         line + minus_row(k), least_);
            }
            transform_.synthesise(worker, 0, T{1}, request_.planes, request.out,
                                  plane * request_.height);
        });
    }

    void standardize_backward(const StyleStandardizeBackward& request) const noexcept {
        each_plane([&](std::int64_t plane, int worker) {
            const std::int64_t first = plane * request_.height;
            const std::int64_t columns = transform_.columns();
            transform_.analyse(request.grad, first, worker, 1);
            const T* line = values(request.amplitude, plane % request.amplitude.rows);
            for (std::int64_t k = 0; k < transform_.rows(); ++k) {
                const PairLine<T> g = pairs(worker, 1, k);
                // Also the lines of `f`, which nobody needs any more: the amplitude's gradient.
                exchange_back(pairs(worker, 0, k), g, columns, line + plus_row(k),
                              line + minus_row(k), least_);
                if (request.grad_amplitude.data != nullptr) {
                    T* to = values(request.grad_amplitude, plane);
                    write_shares(pairs(worker, 0, k), k, to + plus_row(k), to + minus_row(k));
                }
            }
            if (request.grad_planes.data != nullptr) {
                transform_.synthesise(worker, 1, T{1}, request.grad, request.grad_planes, first);
            }
        });
    }

private:
    // body(plane, worker), the plane's spectrum known.
    template <class Body>
    void each_plane(const Body& body) const noexcept {
        parallel_for(request_.count, plane_threads(request_), [&](std::int64_t plane, int worker) {
            transform_.analyse(request_.planes, plane * request_.height, worker, 0);
            body(plane, worker);
        });
    }

    PairLine<T> pairs(int worker, int index, std::int64_t k) const noexcept {
        return {
            transform_.line(worker, index, cos_cos, k), transform_.line(worker, index, cos_sin, k),
            transform_.line(worker, index, sin_cos, k), transform_.line(worker, index, sin_sin, k)};
    }

    void write_shares(const PairLine<T>& by, std::int64_t k, T* plus, T* minus) const noexcept {
        for (std::int64_t l = 0; l < transform_.columns(); ++l) {
            const T share = row_share(k) * static_cast<T>(multiplicity(l, transform_.width()));
            const T a = share * by.cc[l];
            const T b = share * by.cs[l];
            plus[l] = single(k) ? a + b : a;
            if (!single(k)) {
                minus[l] = b;
            }
        }
    }

    // d plane / d F[k, +-l] is this times the multiplicity of l.
    T row_share(std::int64_t k) const noexcept {
        const double area =
            static_cast<double>(transform_.height()) * static_cast<double>(transform_.width());
        return static_cast<T>(multiplicity(k, transform_.height()) / (2.0 * area));
    }

    bool single(std::int64_t k) const noexcept { return plus_row(k) == minus_row(k); }
    std::int64_t plus_row(std::int64_t k) const noexcept { return k * transform_.columns(); }
    std::int64_t minus_row(std::int64_t k) const noexcept {
        return (k == 0 ? 0 : lines_ - k) * transform_.columns();
    }

    static T* values(const StridedMatrix& matrix, std::int64_t row) noexcept {
        return static_cast<T*>(matrix.data) + row * matrix.row_stride;
    }

    const WindowRequest& request_;
    T least_;
    std::int64_t lines_;  // rows of amplitudes
    WindowTransform<T> transform_;
};

}  // namespace ipse::IPSE_ISA
