#include "base/isa_table.h"
#include "pruning/response.h"
#include "pruning/response_backward.h"

namespace ipse::IPSE_ISA {
namespace {

template <template <class, class, Activation> class Kernel, class S, class Request>
void run_stored_as(const Request& request) {
    using T = typename Storage<S>::Compute;
    switch (request.planes.activation) {
        case Activation::identity:
            return Kernel<T, S, Activation::identity>(request).run();
        case Activation::relu:
            return Kernel<T, S, Activation::relu>(request).run();
        case Activation::relu6:
            return Kernel<T, S, Activation::relu6>(request).run();
        case Activation::silu:
            return Kernel<T, S, Activation::silu>(request).run();
    }
}

// Runs Kernel<T, S, activation>(request) for the request's types and activation.
template <template <class, class, Activation> class Kernel, class Request>
void run(const Request& request) {
    switch (request.planes.x.dtype) {
        case DType::float64:
            return run_stored_as<Kernel, double>(request);
        case DType::bfloat16:
            return run_stored_as<Kernel, BFloat16>(request);
        case DType::float16:
            return run_stored_as<Kernel, Float16>(request);
        case DType::float32:
            return run_stored_as<Kernel, float>(request);
    }
}

void forward(const ChannelResponse& request) {
    run<ResponseForward>(request);
}

void backward(const ChannelResponseBackward& request) {
    run<ResponseBackward>(request);
}

}  // namespace

const ResponseTable response_table = {forward, backward};

}  // namespace ipse::IPSE_ISA
