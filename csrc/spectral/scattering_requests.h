// What the bindings ask for the scattering transform. Shared by all instruction sets.
#pragma once

#include <cstdint>

#include "base/matrix.h"

namespace ipse {

// A batch of planes on the grid that every filter lives on: padded by 2^scales on each side.
//
//   order 0: x * phi    order 1: |x * psi| * phi    order 2: ||x * psi1| * psi2| * phi
//
// each kept at every 2^scales-th place inside the plane.
struct ScatteringRequest {
    StridedMatrix plane;  // the first one, (H, W), any dtype and strides
    std::int64_t planes = 0;
    std::int64_t plane_stride = 0;  // elements from one plane to the next
    int scales = 1;                 // J
    int angles = 1;                 // L
    int order = 2;
    // Real spectra of the wavelets, (J, L, M, N) with M = H + 2 * 2^J and N = W + 2 * 2^J.
    const double* wavelets = nullptr;
    // The two factors of the low pass as kernels in space, one after the other for each level
    // j < J: of length M / 2^j, and of length N / 2^j.
    const double* lowpass_rows = nullptr;
    const double* lowpass_cols = nullptr;
    StridedMatrix out;  // (planes * channels, H / 2^J * W / 2^J), compute type, C order
    int threads = 1;
};

// 1 + J L, and L^2 J (J - 1) / 2 more at order 2.
constexpr std::int64_t scattering_channels(std::int64_t scales, std::int64_t angles,
                                           int order) noexcept {
    const std::int64_t pairs = order < 2 ? 0 : scales * (scales - 1) / 2;
    return 1 + scales * angles + pairs * angles * angles;
}

struct ScatteringTable {
    void (*forward)(const ScatteringRequest&);
};

}  // namespace ipse
