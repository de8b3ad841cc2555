// One axis of the antialiased Lanczos-3 resize, as Pillow computes its weights.
#pragma once

#include "spectral/fourier_axis.h"

namespace ipse {

DenseAxis lanczos_axis(std::int64_t n_in, std::int64_t n_out);

}  // namespace ipse
