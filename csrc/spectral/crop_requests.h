// What the bindings ask for crops: images, one operator for each axis. Shared by all
// instruction sets; no code here.
#pragma once

#include <cstdint>

#include "base/matrix.h"

namespace ipse {

enum class PixelType : std::uint8_t { uint8, float32, float64, bfloat16, float16 };

// Images (N, C, H, W) somewhere in memory: strides in elements, of any sign, 0 where expanded.
struct Images {
    void* data = nullptr;
    PixelType type = PixelType::float32;
    std::int64_t images = 0;
    std::int64_t channels = 0;
    std::int64_t height = 0;
    std::int64_t width = 0;
    std::int64_t image_stride = 0;
    std::int64_t channel_stride = 0;
    std::int64_t row_stride = 0;
    std::int64_t column_stride = 0;
};

// The map of one axis, n_in values to n_out, as `folds` products of a quarter, half or all of
// the size (fold.h). Block f takes `depth` folded values to `rows` folded results:
//
//     result_f[p] = sum over k in the band of p's strip of weights_f[p][k] * folded_f[k]
//
// `weights` holds the strips one after another, each as strip values for every k of its band.
struct AxisOperator {
    std::int64_t n_in = 0;
    std::int64_t n_out = 0;
    int folds = 0;  // 0: the identity, nothing else is set
    std::int64_t depth = 0;
    std::int64_t rows = 0;
    std::int64_t strips = 0;  // of one block; the last is padded with zero rows
    const void* weights = nullptr;
    const std::int64_t* band_begin = nullptr;  // one for each strip of each block
    const std::int64_t* band_count = nullptr;
    const std::int64_t* offset = nullptr;  // of the strip in `weights`

    // The rank-one term of an even Fourier crop: y -= (measure_H^T x measure_W) emit_H emit_W^T.
    // Null where the axis has none.
    const double* measure = nullptr;         // (n_in)
    const double* emit = nullptr;            // (n_out)
    const double* folded_measure = nullptr;  // (depth), against block `measured_block`
    int measured_block = 0;
};

// y = scale * (rows_H x columns_W^T) + shift, plane by plane; scale and shift of the channel.
struct CropRequest {
    Images from;
    Images to;  // C order, or channels last
    const AxisOperator* rows = nullptr;
    const AxisOperator* columns = nullptr;
    const double* scale = nullptr;  // (channels), null: 1
    const double* shift = nullptr;  // (channels), null: 0
    DType compute = DType::float32;
    int threads = 1;
};

struct CropsTable {
    int float_strip;  // rows of a strip of weights in the compute type
    int double_strip;
    void (*crop)(const CropRequest&);
};

}  // namespace ipse
