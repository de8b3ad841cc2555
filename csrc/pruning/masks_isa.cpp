#include "base/isa_table.h"
#include "pruning/masks.h"
#include "pruning/mass_curve.h"

namespace ipse::IPSE_ISA {
namespace {

bool wide(const ResponseRows& rows) noexcept {
    return rows.response.dtype == DType::float64;
}

std::int64_t mass(const MassMask& request) {
    return wide(request.rows) ? mass_topk_mask<double>(request) : mass_topk_mask<float>(request);
}

std::int64_t curve(const MassCurve& request) {
    return wide(request.rows) ? mass_curve<double>(request) : mass_curve<float>(request);
}

std::int64_t uniform(const UniformMask& request) {
    return wide(request.rows) ? uniform_topk_mask<double>(request)
                              : uniform_topk_mask<float>(request);
}

}  // namespace

const MasksTable masks_table = {mass, curve, uniform};

}  // namespace ipse::IPSE_ISA
