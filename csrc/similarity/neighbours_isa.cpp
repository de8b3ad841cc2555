#include "base/isa_table.h"
#include "similarity/gathered.h"
#include "similarity/topk.h"

namespace ipse::IPSE_ISA {
namespace {

void topk_similarity(const TopkRequest& request) {
    if (request.x.dtype == DType::float64) {
        Topk<double>(request).run();
    } else {
        Topk<float>(request).run();
    }
}

// Calls run(T{}, S{}) with the compute and storage types of the matrices.
template <class Run>
void with_types(DType dtype, const Run& run) {
    switch (dtype) {
        case DType::float64:
            return run(double{}, double{});
        case DType::bfloat16:
            return run(float{}, BFloat16{});
        case DType::float16:
            return run(float{}, Float16{});
        case DType::float32:
            return run(float{}, float{});
    }
}

void dot(const GatheredRequest& request) {
    with_types(request.y.dtype, [&](auto compute, auto storage) {
        gathered_dot<decltype(compute), decltype(storage)>(request);
    });
}

void gather(const GatheredRequest& request) {
    with_types(request.y.dtype, [&](auto compute, auto storage) {
        gathered_sum<decltype(compute), decltype(storage)>(request);
    });
}

void scatter(const GatheredRequest& request) {
    with_types(request.x.dtype, [&](auto compute, auto storage) {
        scattered_sum<decltype(compute), decltype(storage)>(request);
    });
}

}  // namespace

const NeighboursTable neighbours_table = {topk_similarity, dot, gather, scatter};

}  // namespace ipse::IPSE_ISA
