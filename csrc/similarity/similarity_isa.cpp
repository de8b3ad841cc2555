#include "base/isa_table.h"
#include "similarity/sigmoid_loss.h"
#include "similarity/softmax_gradient.h"
#include "similarity/softmax_sums.h"

namespace ipse::IPSE_ISA {
namespace {

bool is_double(const Stack& rows) noexcept {
    return rows.part[0].dtype == DType::float64;
}

void softmax_forward(const SoftmaxRequest& request) {
    if (is_double(request.rows)) {
        SoftmaxSums<double>(request).run();
    } else {
        SoftmaxSums<float>(request).run();
    }
}

void softmax_backward(const SoftmaxGradientRequest& request) {
    if (is_double(request.forward.rows)) {
        SoftmaxGradient<double>(request).run();
    } else {
        SoftmaxGradient<float>(request).run();
    }
}

double sigmoid_forward(const SigmoidRequest& request) {
    return is_double(request.rows) ? SigmoidPairs<double>(request).sum()
                                   : SigmoidPairs<float>(request).sum();
}

void sigmoid_backward(const SigmoidGradientRequest& request) {
    if (is_double(request.forward.rows)) {
        SigmoidPairs<double>(request.forward).gradient(request);
    } else {
        SigmoidPairs<float>(request.forward).gradient(request);
    }
}

}  // namespace

const SimilarityTable similarity_table = {
    softmax_forward,
    softmax_backward,
    sigmoid_forward,
    sigmoid_backward,
};

}  // namespace ipse::IPSE_ISA
