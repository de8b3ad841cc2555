#include "spectral/folded_block.h"

#include <algorithm>
#include <cmath>

namespace ipse {
namespace {

// Where the odd part meets a fixed point the exact value is zero; rounding leaves 1e-19.
constexpr double negligible = 1e-17;

}  // namespace

std::int64_t folded_size(std::int64_t size, Parity parity) {
    return parity == Parity::none ? size : size / 2 + 1;
}

double folded_value(const double* line, std::int64_t size, Parity parity, std::int64_t h) {
    if (parity == Parity::none) {
        return line[h];
    }
    const std::int64_t mirrored = (size - h) % size;
    const double sum = parity == Parity::even ? line[h] + line[mirrored] : line[h] - line[mirrored];
    return sum / (mirrored == h ? 4 : 2);
}

FoldedBlock::FoldedBlock(const DenseAxis& axis, Parity parity)
    : rows(folded_size(axis.n_out, parity)), depth(folded_size(axis.n_in, parity)), first(rows) {
    values_.reserve(static_cast<std::size_t>(rows * depth));
    for (std::int64_t p = 0; p < rows; ++p) {
        const double* line = axis.matrix.data() + p * axis.n_in;
        bool any = false;
        for (std::int64_t k = 0; k < depth; ++k) {
            const double value = folded_value(line, axis.n_in, parity, k);
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
