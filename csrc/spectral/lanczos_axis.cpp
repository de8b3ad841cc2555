#include "spectral/lanczos_axis.h"

#include <algorithm>
#include <cmath>

namespace ipse {
namespace {

constexpr double pi = 3.14159265358979323846;
constexpr double lobes = 3.0;

double sinc(double x) {
    return x == 0.0 ? 1.0 : std::sin(pi * x) / (pi * x);
}

double lanczos(double x) {
    return -lobes <= x && x < lobes ? sinc(x) * sinc(x / lobes) : 0.0;
}

}  // namespace

DenseAxis lanczos_axis(std::int64_t n_in, std::int64_t n_out) {
    const double scale = static_cast<double>(n_in) / static_cast<double>(n_out);
    const double support = lobes * scale;
    DenseAxis axis;
    axis.n_in = n_in;
    axis.n_out = n_out;
    axis.matrix.assign(static_cast<std::size_t>(n_in * n_out), 0.0);
    for (std::int64_t p = 0; p < n_out; ++p) {
        const double center = (static_cast<double>(p) + 0.5) * scale;
        const auto first =
            std::max<std::int64_t>(0, static_cast<std::int64_t>(center - support + 0.5));
        const auto last = std::min(n_in, static_cast<std::int64_t>(center + support + 0.5));
        double* row = axis.matrix.data() + p * n_in;
        double sum = 0.0;
        for (std::int64_t h = first; h < last; ++h) {
            row[h] = lanczos((static_cast<double>(h) - center + 0.5) / scale);
            sum += row[h];
        }
        for (std::int64_t h = first; h < last; ++h) {
            row[h] /= sum;
        }
    }
    return axis;
}

}  // namespace ipse
