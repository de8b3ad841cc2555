#include "spectral/scattering.h"

#include "base/isa_table.h"

namespace ipse::IPSE_ISA {
namespace {

void scattering_forward(const ScatteringRequest& request) {
    if (request.plane.dtype == DType::float64) {
        Scattering<double>(request).run();
    } else {
        Scattering<float>(request).run();
    }
}

}  // namespace

const ScatteringTable scattering_table = {
    scattering_forward,
};

}  // namespace ipse::IPSE_ISA
