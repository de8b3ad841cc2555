#include "spectral/fourier_axis.h"

#include <cmath>

namespace ipse {
namespace {

constexpr double pi = 3.14159265358979323846;

// sin(pi m / d) for 0 <= m <= d, from the octant where the function is steep.
double sine_of_half_turn(std::int64_t m, std::int64_t d) {
    if (2 * m > d) {
        m = d - m;
    }
    const auto whole = static_cast<double>(d);
    if (4 * m > d) {
        return std::cos(pi * static_cast<double>(d - 2 * m) / (2.0 * whole));
    }
    return std::sin(pi * static_cast<double>(m) / whole);
}

// sin(pi count t) / sin(pi t) for t = n / whole: the sum of exp(2 pi i k t) over the `count`
// (odd) frequencies around zero.
double dirichlet(std::int64_t count, std::int64_t n, std::int64_t whole) {
    n %= whole;
    if (n < 0) {
        n += whole;
    }
    if (2 * n > whole) {
        n = whole - n;  // even in t, and of period 1 since count is odd
    }
    if (n == 0) {
        return static_cast<double>(count);
    }
    return sine_of_turns(count * n, 2 * whole) / sine_of_half_turn(n, whole);
}

}  // namespace

double sine_of_turns(std::int64_t n, std::int64_t d) {
    n %= d;
    if (n < 0) {
        n += d;
    }
    return 2 * n > d ? -sine_of_half_turn(2 * (d - n), d) : sine_of_half_turn(2 * n, d);
}

DenseAxis fourier_axis(std::int64_t n_in, std::int64_t n_out) {
    const std::int64_t b = n_out / 2;
    const bool even = n_out % 2 == 0;
    const std::int64_t symmetric = even ? 2 * b - 1 : 2 * b + 1;
    const auto size = static_cast<double>(n_in);
    DenseAxis axis;
    axis.n_in = n_in;
    axis.n_out = n_out;
    axis.matrix.resize(static_cast<std::size_t>(n_in * n_out));
    double* entry = axis.matrix.data();
    for (std::int64_t p = 0; p < n_out; ++p) {
        for (std::int64_t h = 0; h < n_in; ++h, ++entry) {
            double value = dirichlet(symmetric, p * n_in - h * n_out, n_in * n_out);
            if (even) {
                // Frequency -b has no partner +b in the kept set; its real part is a cosine.
                const double cosine = sine_of_turns(4 * b * h + n_in, 4 * n_in);
                value += p % 2 == 0 ? cosine : -cosine;
            }
            *entry = value / size;
        }
    }
    if (even) {  // ... and its imaginary part the product of these two
        for (std::int64_t h = 0; h < n_in; ++h) {
            axis.measure.push_back(sine_of_turns(b * h, n_in) / size);
        }
        for (std::int64_t p = 0; p < n_out; ++p) {
            axis.emit.push_back(p % 2 == 0 ? 1.0 : -1.0);
        }
    }
    return axis;
}

}  // namespace ipse
