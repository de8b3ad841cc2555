#include "base/isa_table.h"
#include "cross_correlation/backward.h"
#include "cross_correlation/forward_features.h"
#include "cross_correlation/forward_samples.h"

namespace ipse::IPSE_ISA {
namespace {

template <class T, class Loss, class Parameters>
double forward_as(const ForwardRequest<Parameters>& request) {
    const Loss loss(request.parameters, request.view[0].rows, request.view[0].cols, request.side);
    T* moments = static_cast<T*>(request.moments.data);
    if (request.side == Side::samples) {
        return GramForward<T, Loss>(request.view, loss, request.threads).run(moments);
    }
    return forward_features<T, Loss>(request.view, loss, request.threads, moments);
}

template <class Loss, class Parameters>
double forward(const ForwardRequest<Parameters>& request) {
    return request.view[0].dtype == DType::float64 ? forward_as<double, Loss>(request)
                                                   : forward_as<float, Loss>(request);
}

template <class T, class Loss, class Parameters>
void backward_as(const BackwardRequest<Parameters>& request) {
    const ForwardRequest<Parameters>& forward = request.forward;
    const Loss loss(forward.parameters, forward.view[0].rows, forward.view[0].cols, forward.side);
    Backward<T, Loss>(request, loss).run();
}

template <class Loss, class Parameters>
void backward(const BackwardRequest<Parameters>& request) {
    if (request.forward.view[0].dtype == DType::float64) {
        backward_as<double, Loss>(request);
    } else {
        backward_as<float, Loss>(request);
    }
}

}  // namespace

const CrossCorrelationTable cross_correlation_table = {
    forward<BarlowTwins, BarlowTwinsParameters>,
    backward<BarlowTwins, BarlowTwinsParameters>,
    forward<Vicreg, VicregParameters>,
    backward<Vicreg, VicregParameters>,
};

}  // namespace ipse::IPSE_ISA
