#include "base/isa_table.h"
#include "spectral/crop_planes.h"

namespace ipse::IPSE_ISA {
namespace {

void crop(const CropRequest& request) {
    if (request.compute == DType::float64) {
        PlaneCrop<double>(request).run();
    } else {
        PlaneCrop<float>(request).run();
    }
}

}  // namespace

const CropsTable crops_table = {Panel<float>::strip, Panel<double>::strip, crop};

}  // namespace ipse::IPSE_ISA
