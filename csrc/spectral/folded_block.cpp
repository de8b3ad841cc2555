#include "spectral/folded_block.h"

#include <algorithm>
#include <cmath>

namespace ipse {
namespace {

std::int64_t moved(int g, std::int64_t h, std::int64_t size) {
    if ((g & 1) != 0) {
        h = size - h;
    }
    if ((g & 2) != 0) {
        h += size / 2;
    }
    return h % size;
}

double character(int chi, int g) {
    const int odd = (chi & g & 1) ^ ((chi & g) >> 1);
    return odd != 0 ? -1.0 : 1.0;
}

// Where chi is odd and p or k a fixed point the exact value is zero; rounding leaves 1e-19.
constexpr double negligible = 1e-17;

}  // namespace

std::int64_t orbits(std::int64_t size, int group) {
    return group == 1 ? size : size / group + 1;
}

double folded_value(const double* line, std::int64_t size, int group, int chi, std::int64_t h) {
    double sum = 0.0;
    int fixed = 0;
    for (int g = 0; g < group; ++g) {
        const std::int64_t at = moved(g, h, size);
        sum += character(chi, g) * line[at];
        fixed += at == h ? 1 : 0;
    }
    return sum / (group * fixed);
}

FoldedBlock::FoldedBlock(const DenseAxis& axis, int group, int chi)
    : rows(orbits(axis.n_out, group)), depth(orbits(axis.n_in, group)), first(rows) {
    values_.reserve(static_cast<std::size_t>(rows * depth));
    for (std::int64_t p = 0; p < rows; ++p) {
        const double* line = axis.matrix.data() + p * axis.n_in;
        bool any = false;
        for (std::int64_t k = 0; k < depth; ++k) {
            const double value = folded_value(line, axis.n_in, group, chi, k);
            values_.push_back(std::abs(value) < negligible ? 0.0 : value);
            any = any || values_.back() != 0.0;
        }
        if (any) {
            first = std::min(first, p);
            last = p + 1;
        }
    }
    first = std::min(first, last);
}

std::pair<std::int64_t, std::int64_t> FoldedBlock::band(std::int64_t p_begin,
                                                        std::int64_t p_end) const {
    std::int64_t begin = depth;
    std::int64_t end = 0;
    for (std::int64_t p = p_begin; p < p_end; ++p) {
        for (std::int64_t k = 0; k < depth; ++k) {
            if (at(p, k) != 0.0) {
                begin = std::min(begin, k);
                end = std::max(end, k + 1);
            }
        }
    }
    return {std::min(begin, end), end};
}

}  // namespace ipse
