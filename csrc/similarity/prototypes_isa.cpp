#include "base/isa_table.h"
#include "similarity/sinkhorn.h"
#include "similarity/soft_cross_entropy.h"

namespace ipse::IPSE_ISA {
namespace {

void soft_cross_entropy_forward(const SoftCrossEntropyForward& request) {
    if (request.views.compute == DType::float64) {
        SoftCrossEntropy<double>(request.views).forward(request.losses);
    } else {
        SoftCrossEntropy<float>(request.views).forward(request.losses);
    }
}

void soft_cross_entropy_backward(const SoftCrossEntropyBackward& request) {
    if (request.views.compute == DType::float64) {
        SoftCrossEntropy<double>(request.views)
            .backward(request.grad_losses, request.grad_students);
    } else {
        SoftCrossEntropy<float>(request.views).backward(request.grad_losses, request.grad_students);
    }
}

void sinkhorn(const SinkhornRequest& request) {
    if (request.codes.dtype == DType::float64) {
        Sinkhorn<double>(request).run();
    } else {
        Sinkhorn<float>(request).run();
    }
}

}  // namespace

const PrototypesTable prototypes_table = {
    soft_cross_entropy_forward,
    soft_cross_entropy_backward,
    sinkhorn,
};

}  // namespace ipse::IPSE_ISA
