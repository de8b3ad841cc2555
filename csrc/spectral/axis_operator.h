// From a dense map of one axis to the strips that the kernels read.
#pragma once

#include <vector>

#include "base/workspace.h"
#include "spectral/crop_requests.h"
#include "spectral/fourier_axis.h"

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
    void pack(const DenseAxis& axis, const OperatorKey& key);
    void fold_measure(const DenseAxis& axis);

    AxisOperator view_;
    std::int64_t weight_count_ = 0;
    std::int64_t weight_bytes_ = 0;
    Workspace weights_;
    std::vector<std::int64_t> band_begin_, band_count_, offset_;
    std::vector<double> measure_, emit_, folded_measure_;
};

}  // namespace ipse
