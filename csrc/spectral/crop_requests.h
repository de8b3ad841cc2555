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

// At most Panel<T>::strip results of a product, and the folded values they are sums of.
struct AxisStrip {
    std::int64_t folded_row = 0;  // the first of `depth` values, counted through all blocks
    std::int64_t depth = 0;
    std::int64_t weights = 0;     // offset of Panel<T>::strip values for every step of the depth
    std::int64_t result_row = 0;  // the first of the results, counted through all blocks
    int rows = 0;
};

// One product: where its folded values and its results begin.
struct AxisBlock {
    std::int64_t folded_row = 0;
    std::int64_t result_row = 0;
};

// The map of one axis, n_in values to n_out: one product (a band, or a small matrix), or two for
// the even and the odd part (`mirror`, fold.h), or one or two for each frequency of a transform
// of length `shifts` (shift_axis.h).
struct AxisOperator {
    std::int64_t n_in = 0;
    std::int64_t n_out = 0;
    bool identity = true;  // then nothing else is set
    bool mirror = false;
    int shifts = 0;                     // 0: no transform
    const AxisBlock* blocks = nullptr;  // of the mirror, even and odd
    std::int64_t folded_rows = 0;       // of all blocks
    std::int64_t result_rows = 0;
    const void* weights = nullptr;
    const AxisStrip* strips = nullptr;
    std::int64_t strip_count = 0;
    const std::int64_t* zero_rows = nullptr;  // results that no strip writes
    std::int64_t zero_count = 0;

    // The rank-one term of an even Fourier crop: y -= (measure_H^T x measure_W) emit_H emit_W^T.
    // Null where the axis has none.
    const double* measure = nullptr;         // (n_in)
    const double* emit = nullptr;            // (n_out)
    const double* folded_measure = nullptr;  // (measured_depth), from folded row measured_row on
    std::int64_t measured_row = 0;
    std::int64_t measured_depth = 0;
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
