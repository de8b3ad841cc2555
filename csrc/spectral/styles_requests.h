// What the bindings ask of a window of low frequencies: band-pass filters, their energy, and the
// exchange of amplitudes between images. Shared by all instruction sets.
#pragma once

#include <cstdint>

#include "base/matrix.h"

namespace ipse {

// Planes (images of one channel) and the frequencies of interest: |k| <= half_rows and
// |l| <= half_columns, both signs of each.
struct WindowRequest {
    StridedMatrix planes;  // (count * height, width)
    std::int64_t count = 0;
    std::int64_t height = 0;
    std::int64_t half_rows = 0;
    std::int64_t half_columns = 0;
    DType compute = DType::float32;
    int threads = 1;
};

// out = keep * x + inverse transform of mask * transform of x.
struct BandFilter {
    WindowRequest window;
    StridedMatrix mask;  // (half_rows + 1, half_columns + 1), for |k| and |l|
    double keep = 0.0;
    StridedMatrix out;  // like the planes, C order
};

// energy[p] = sum of mask * |F|^2 / (height * width), which is a filtered image's sum of squares
// where the mask is 0 or 1.
struct BandEnergy {
    WindowRequest window;
    StridedMatrix mask;
    StridedMatrix energy;  // (count, 1), compute type
};

// Amplitudes lie as torch's rfft2 would leave them: row k for frequency k, row R - k for -k,
// columns 0 ... half_columns. R = 2 half_rows + 1, or the height where that is smaller. One line
// of R * (half_columns + 1) values for each plane, compute type, C order.
struct StyleAmplitude {
    WindowRequest window;
    StridedMatrix amplitude;
};

struct StyleAmplitudeBackward {
    WindowRequest window;
    StridedMatrix grad;  // by the amplitudes
    StridedMatrix grad_planes;
};

// Plane p gets the amplitudes of line p % amplitude.rows and keeps its phases.
struct StyleStandardize {
    WindowRequest window;
    StridedMatrix amplitude;
    double eps = 0.0;  // what is below eps * height * width has phase 0
    StridedMatrix out;
};

struct StyleStandardizeBackward {
    WindowRequest window;
    StridedMatrix grad;  // by the result, like the planes
    StridedMatrix amplitude;
    double eps = 0.0;
    StridedMatrix grad_planes;     // null data: not wanted
    StridedMatrix grad_amplitude;  // one line for each plane; null data: not wanted
};

struct StylesTable {
    void (*band_filter)(const BandFilter&);
    void (*band_energy)(const BandEnergy&);
    void (*style_amplitude)(const StyleAmplitude&);
    void (*style_amplitude_backward)(const StyleAmplitudeBackward&);
    void (*style_standardize)(const StyleStandardize&);
    void (*style_standardize_backward)(const StyleStandardizeBackward&);
};

}  // namespace ipse
