#include "base/isa_table.h"
#include "spectral/band.h"
#include "spectral/style.h"

namespace ipse::IPSE_ISA {
namespace {

// visit(T{}) with the type that planes of this request are computed in.
template <class Visit>
void in_compute_type(const WindowRequest& window, const Visit& visit) {
    if (window.compute == DType::float64) {
        visit(double{});
    } else {
        visit(float{});
    }
}

void band_filter(const BandFilter& request) {
    in_compute_type(request.window, [&](auto type) {
        Band<decltype(type)>(request.window, request.mask).filter(request);
    });
}

void band_energy(const BandEnergy& request) {
    in_compute_type(request.window, [&](auto type) {
        Band<decltype(type)>(request.window, request.mask).energy(request.energy);
    });
}

void style_amplitude(const StyleAmplitude& request) {
    in_compute_type(request.window, [&](auto type) {
        Style<decltype(type)>(request.window, 0.0, 1).amplitude(request.amplitude);
    });
}

void style_amplitude_backward(const StyleAmplitudeBackward& request) {
    in_compute_type(request.window, [&](auto type) {
        Style<decltype(type)>(request.window, 0.0, 1).amplitude_backward(request);
    });
}

void style_standardize(const StyleStandardize& request) {
    in_compute_type(request.window, [&](auto type) {
        Style<decltype(type)>(request.window, request.eps, 1).standardize(request);
    });
}

void style_standardize_backward(const StyleStandardizeBackward& request) {
    in_compute_type(request.window, [&](auto type) {
        Style<decltype(type)>(request.window, request.eps, 2).standardize_backward(request);
    });
}

}  // namespace

const StylesTable styles_table = {
    band_filter,       band_energy,
    style_amplitude,   style_amplitude_backward,
    style_standardize, style_standardize_backward,
};

}  // namespace ipse::IPSE_ISA
