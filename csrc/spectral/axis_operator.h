// From a dense map of one axis to the strips that the kernels read.
#pragma once

#include <cstdint>
#include <vector>

#include "base/workspace.h"
#include "spectral/crop_requests.h"
#include "spectral/folded_block.h"
#include "spectral/fourier_axis.h"
#include "spectral/shift_block.h"

namespace ipse {

enum class CropKind : std::uint8_t { fourier, lanczos };

struct OperatorKey {
    CropKind kind = CropKind::fourier;
    bool adjoint = false;  // n_in, n_out are those of the crop; the map goes the other way
    std::int64_t n_in = 0;
    std::int64_t n_out = 0;
    DType compute = DType::float32;
    int strip = 1;

    bool operator==(const OperatorKey& other) const;
};

// Owns what its view points at.
class BuiltOperator {
public:
    explicit BuiltOperator(const OperatorKey& key);
    BuiltOperator(const BuiltOperator&) = delete;
    BuiltOperator& operator=(const BuiltOperator&) = delete;

    const AxisOperator& view() const { return view_; }
    std::int64_t bytes() const;

private:
    void add_plain(const DenseAxis& axis, int strip);
    void add_mirror(const DenseAxis& axis, int strip);
    void add_shifts(const DenseAxis& axis, int shifts, int strip);
    void add_product(const ShiftBlock& block, std::int64_t row, std::int64_t row_end,
                     std::int64_t column, std::int64_t column_end, int parts, int strip);
    void add_block(const DenseAxis& axis, Parity parity, int strip);
    void add_measure(const std::vector<double>& line, Parity parity);
    void finish(DType compute);

    AxisOperator view_;
    std::vector<AxisBlock> blocks_;
    std::vector<AxisStrip> strips_;
    std::vector<std::int64_t> zero_rows_;
    std::vector<double> values_;  // weights, while they are collected
    std::int64_t weight_bytes_ = 0;
    Workspace weights_;
    std::vector<double> measure_, emit_, folded_measure_;
};

}  // namespace ipse
