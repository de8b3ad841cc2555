// What the bindings ask of the cross-correlation engine. Shared by all instruction sets.
#pragma once

#include <cstdint>

#include "base/matrix.h"

namespace ipse {

// Through which matrix the second moments are computed: N x N or D x D.
enum class Side : std::uint8_t { samples, features };

struct BarlowTwinsParameters {
    double lambda_param = 5e-3;
    double eps = 1e-5;
};

struct VicregParameters {
    double lambda_param = 25.0;
    double mu_param = 25.0;
    double nu_param = 1.0;
    double eps = 1e-4;
};

// `moments` is what backward needs of forward, in the compute type, C order; see moments_shape().
// Null data: forward keeps nothing.
template <class Parameters>
struct ForwardRequest {
    StridedMatrix view[2];  // (N, D) each, same dtype
    StridedMatrix moments;
    Side side = Side::samples;
    Parameters parameters;
    int threads = 1;
};

template <class Parameters>
struct BackwardRequest {
    ForwardRequest<Parameters> forward;
    double grad = 1.0;           // d(objective) / d(loss)
    StridedMatrix grad_view[2];  // (N, D), C order, the views' dtype; null data: not wanted
};

struct CrossCorrelationTable {
    double (*barlow_twins_forward)(const ForwardRequest<BarlowTwinsParameters>&);
    void (*barlow_twins_backward)(const BackwardRequest<BarlowTwinsParameters>&);
    double (*vicreg_forward)(const ForwardRequest<VicregParameters>&);
    void (*vicreg_backward)(const BackwardRequest<VicregParameters>&);
};

}  // namespace ipse
