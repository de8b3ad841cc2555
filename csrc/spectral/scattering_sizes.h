// The grids of a scattering transform and how its channels are numbered.
#pragma once

#include <cstdint>

#include "base/isa.h"
#include "spectral/scattering_requests.h"

namespace ipse::IPSE_ISA {

struct ScatteringSizes {
    std::int64_t height, width;  // of a plane
    std::int64_t rows, cols;     // of the padded grid
    std::int64_t out_height, out_width;
    int scales, angles, order;
    std::int64_t channels;

    explicit ScatteringSizes(const ScatteringRequest& request) noexcept
        : height(request.plane.rows),
          width(request.plane.cols),
          rows(height + (std::int64_t{2} << request.scales)),
          cols(width + (std::int64_t{2} << request.scales)),
          out_height(height >> request.scales),
          out_width(width >> request.scales),
          scales(request.scales),
          angles(request.angles),
          order(request.order),
          channels(scattering_channels(scales, angles, order)) {}

    // The grid of level j has every 2^j-th row and column.
    std::int64_t level_rows(int level) const noexcept { return rows >> level; }
    std::int64_t level_cols(int level) const noexcept { return cols >> level; }
    // Of a real plane only this much of the spectrum is kept; the rest mirrors it.
    std::int64_t half_spectrum(int level) const noexcept {
        return (level_rows(level) / 2 + 1) * level_cols(level);
    }
    std::int64_t out_area() const noexcept { return out_height * out_width; }

    // Whether |x * psi_j| is scattered further.
    bool has_children(int scale) const noexcept { return order == 2 && scale + 1 < scales; }

    std::int64_t first_order_channel(int scale, int angle) const noexcept {
        return 1 + std::int64_t{scale} * angles + angle;
    }
    // Of the pair of wavelets; as kymatio numbers them: by the first one, then by the second.
    std::int64_t second_order_channel(int scale1, int angle1, int scale2,
                                      int angle2) const noexcept {
        std::int64_t channel = 1 + std::int64_t{scales} * angles;
        for (int scale = 0; scale < scale1; ++scale) {
            channel += std::int64_t{angles} * angles * (scales - 1 - scale);
        }
        channel += std::int64_t{angle1} * angles * (scales - 1 - scale1);
        return channel + std::int64_t{scale2 - scale1 - 1} * angles + angle2;
    }
};

// The sources of a convolution: the plane itself (level 0) for every wavelet, and
// |x * psi_level| for the wavelets of larger scale. Level 0 serves both.
inline bool is_used(const ScatteringSizes& sizes, int level, int scale) noexcept {
    return level == 0 || (sizes.has_children(level) && scale > level);
}

// Reflection at the edges, without repeating them; as often as the padding needs.
inline std::int64_t reflect(std::int64_t index, std::int64_t length) noexcept {
    const std::int64_t period = 2 * (length - 1);
    index %= period;
    index = index < 0 ? index + period : index;
    return index < length ? index : period - index;
}

}  // namespace ipse::IPSE_ISA
