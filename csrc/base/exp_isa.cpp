// exp.h and log1p.h over whole matrices, for their tests.
#include "base/exp.h"
#include "base/isa_table.h"
#include "base/log1p.h"

namespace ipse::IPSE_ISA {
namespace {

template <class T, class Function>
void apply(const StridedMatrix& in, const StridedMatrix& out, const Function& function) noexcept {
    constexpr int lanes = Simd<T>::lanes;
    const T* from = static_cast<const T*>(in.data);
    T* to = static_cast<T*>(out.data);
    for (std::int64_t i = 0; i < in.rows; ++i) {
        for (std::int64_t j = 0; j < in.cols; j += lanes) {
            const std::int64_t count = in.cols - j < lanes ? in.cols - j : lanes;
            T values[lanes] = {};
            for (std::int64_t lane = 0; lane < count; ++lane) {
                values[lane] = from[i * in.row_stride + (j + lane) * in.col_stride];
            }
            store(values, function(load(values)));
            for (std::int64_t lane = 0; lane < count; ++lane) {
                to[i * out.row_stride + (j + lane) * out.col_stride] = values[lane];
            }
        }
    }
}

}  // namespace

void exponential_of(const StridedMatrix& in, const StridedMatrix& out) {
    if (in.dtype == DType::float64) {
        apply<double>(in, out, [](Vector<double> x) { return exponential<double>(x); });
    } else {
        apply<float>(in, out, [](Vector<float> x) { return exponential<float>(x); });
    }
}

void log1p_unit_of(const StridedMatrix& in, const StridedMatrix& out) {
    if (in.dtype == DType::float64) {
        apply<double>(in, out, [](Vector<double> x) { return log1p_unit<double>(x); });
    } else {
        apply<float>(in, out, [](Vector<float> x) { return log1p_unit<float>(x); });
    }
}

}  // namespace ipse::IPSE_ISA
