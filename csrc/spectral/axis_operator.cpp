// The matrix of a Fourier crop commutes with the reflection h -> -h and, where both sizes are
// even, with the shift by half a period: R[g p][g h] = R[p][h]. Over such a group of G elements
// with characters chi the product splits into G smaller ones:
//
//     X_chi[h] = sum over g of chi(g) x[g h]          h: one of each orbit     (fold)
//     y_chi[p] = sum over h of C_chi[p][h] X_chi[h]
//     y[g p]   = sum over chi of chi(g) y_chi[p]                               (unfold)
//     C_chi[p][h] = sum over g of chi(g) R[p][g h] / (G * |{g: g h = h}|)
//
// The Lanczos matrix is a narrow band instead, and is not folded.
#include "spectral/axis_operator.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/checked_size.h"
#include "spectral/lanczos_axis.h"

namespace ipse {
namespace {

// Element g of the group at index h: bit 0 of g reflects, bit 1 shifts by half a period.
std::int64_t moved(int g, std::int64_t h, std::int64_t size) {
    if ((g & 1) != 0) {
        h = size - h;
    }
    if ((g & 2) != 0) {
        h += size / 2;
    }
    return h % size;
}

// Character chi at g: bit 0 of chi is the sign of the reflection, bit 1 that of the shift.
double character(int chi, int g) {
    const int odd = (chi & g & 1) ^ ((chi & g) >> 1);
    return odd != 0 ? -1.0 : 1.0;
}

// sum over g of chi(g) line[g h] / (G * |{g: g h = h}|)
double folded(const double* line, std::int64_t size, int folds, int chi, std::int64_t h) {
    double sum = 0.0;
    int fixed = 0;
    for (int g = 0; g < folds; ++g) {
        const std::int64_t at = moved(g, h, size);
        sum += character(chi, g) * line[at];
        fixed += at == h ? 1 : 0;
    }
    return sum / (folds * fixed);
}

std::int64_t orbits(std::int64_t size, int folds) {
    return folds == 1 ? size : size / folds + 1;
}

std::int64_t strips_of(std::int64_t rows, int strip) {
    return (rows + strip - 1) / strip;
}

// Multiplications for each column, and what folding and unfolding cost in units of them.
int cheapest_folds(const OperatorKey& key) {
    int best = 1;
    std::int64_t best_cost = 0;
    for (const int folds : {1, 2, 4}) {
        if (folds == 4 && (key.n_in % 2 != 0 || key.n_out % 2 != 0)) {
            continue;
        }
        const std::int64_t rows = strips_of(orbits(key.n_out, folds), key.strip) * key.strip;
        const std::int64_t products = folds * rows * orbits(key.n_in, folds);
        const std::int64_t cost = products + (folds == 1 ? 0 : 2 * (key.n_in + key.n_out));
        if (folds == 1 || cost < best_cost) {
            best = folds;
            best_cost = cost;
        }
    }
    return best;
}

// C_chi, dense.
class FoldedBlock {
public:
    std::int64_t first = 0;  // rows outside of [first, last) are zero
    std::int64_t last = 0;

    FoldedBlock(const DenseAxis& axis, const AxisOperator& view, int chi) : depth_(view.depth) {
        first = view.rows;
        values_.reserve(static_cast<std::size_t>(view.rows * depth_));
        for (std::int64_t p = 0; p < view.rows; ++p) {
            const double* line = axis.matrix.data() + p * axis.n_in;
            bool any = false;
            for (std::int64_t k = 0; k < depth_; ++k) {
                const double value = folded(line, axis.n_in, view.folds, chi, k);
                // Where chi is odd and k or p fixed, the exact value is zero.
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

    double at(std::int64_t p, std::int64_t k) const {
        return values_[static_cast<std::size_t>(p * depth_ + k)];
    }

    // Beyond [begin, end) rows p_begin.. are zero.
    std::pair<std::int64_t, std::int64_t> band(std::int64_t p_begin, std::int64_t p_end) const {
        std::int64_t begin = depth_;
        std::int64_t end = 0;
        for (std::int64_t p = p_begin; p < p_end; ++p) {
            for (std::int64_t k = 0; k < depth_; ++k) {
                if (at(p, k) != 0.0) {
                    begin = std::min(begin, k);
                    end = std::max(end, k + 1);
                }
            }
        }
        return {std::min(begin, end), end};
    }

private:
    static constexpr double negligible = 1e-17;
    std::int64_t depth_;
    std::vector<double> values_;
};

DenseAxis transposed(DenseAxis axis) {
    DenseAxis result;
    result.n_in = axis.n_out;
    result.n_out = axis.n_in;
    result.matrix.resize(axis.matrix.size());
    for (std::int64_t p = 0; p < axis.n_out; ++p) {
        for (std::int64_t h = 0; h < axis.n_in; ++h) {
            result.matrix[static_cast<std::size_t>(h * axis.n_out + p)] =
                axis.matrix[static_cast<std::size_t>(p * axis.n_in + h)];
        }
    }
    result.measure = std::move(axis.emit);
    result.emit = std::move(axis.measure);
    return result;
}

}  // namespace

bool OperatorKey::operator==(const OperatorKey& other) const {
    return kind == other.kind && adjoint == other.adjoint && n_in == other.n_in &&
           n_out == other.n_out && compute == other.compute && strip == other.strip;
}

BuiltOperator::BuiltOperator(const OperatorKey& key) {
    view_.n_in = key.adjoint ? key.n_out : key.n_in;
    view_.n_out = key.adjoint ? key.n_in : key.n_out;
    if (key.n_in == key.n_out) {
        return;  // both kinds are the identity there
    }
    OperatorKey oriented = key;
    oriented.n_in = view_.n_in;
    oriented.n_out = view_.n_out;
    view_.folds = key.kind == CropKind::fourier ? cheapest_folds(oriented) : 1;
    view_.depth = orbits(view_.n_in, view_.folds);
    view_.rows = orbits(view_.n_out, view_.folds);
    view_.block_rows = view_.rows + key.strip;
    DenseAxis axis = key.kind == CropKind::fourier ? fourier_axis(key.n_in, key.n_out)
                                                   : lanczos_axis(key.n_in, key.n_out);
    if (key.adjoint) {
        axis = transposed(std::move(axis));
    }
    pack(axis, key.strip, key.compute);
    if (!axis.measure.empty()) {
        fold_measure(axis);
    }
}

// Rows of a block that are zero (the sine of 0, or of half a turn) cost no strip.
void BuiltOperator::pack(const DenseAxis& axis, int strip, DType compute) {
    std::vector<double> all;
    for (int chi = 0; chi < view_.folds; ++chi) {
        const FoldedBlock block(axis, view_, chi);
        for (std::int64_t p = 0; p < view_.rows; ++p) {
            if (p < block.first || p >= block.last) {
                zero_rows_.push_back(chi * view_.block_rows + p);
            }
        }
        for (std::int64_t p = block.first; p < block.last; p += strip) {
            const std::int64_t present = std::min<std::int64_t>(strip, block.last - p);
            const auto [begin, end] = block.band(p, p + present);
            strips_.push_back({chi * view_.depth + begin, end - begin,
                               static_cast<std::int64_t>(all.size()), chi * view_.block_rows + p});
            for (std::int64_t k = begin; k < end; ++k) {
                for (std::int64_t i = 0; i < strip; ++i) {
                    all.push_back(i < present ? block.at(p + i, k) : 0.0);
                }
            }
        }
    }
    store_weights(all, compute);
    view_.strips = strips_.data();
    view_.strip_count = static_cast<std::int64_t>(strips_.size());
    view_.zero_rows = zero_rows_.data();
    view_.zero_count = static_cast<std::int64_t>(zero_rows_.size());
}

void BuiltOperator::store_weights(const std::vector<double>& all, DType compute) {
    const bool wide = compute == DType::float64;
    const auto count = static_cast<std::int64_t>(all.size());
    weight_bytes_ = checked_multiply(count, wide ? 8 : 4);
    weights_ = Workspace::elements(count, wide ? 8 : 4);
    if (wide) {
        std::copy(all.begin(), all.end(), static_cast<double*>(weights_.data()));
    } else {
        std::transform(all.begin(), all.end(), static_cast<float*>(weights_.data()),
                       [](double value) { return static_cast<float>(value); });
    }
    view_.weights = weights_.data();
}

// The measure is odd or even under each element, so one character sees all of it.
void BuiltOperator::fold_measure(const DenseAxis& axis) {
    measure_ = axis.measure;
    emit_ = axis.emit;
    double largest = -1.0;
    for (int chi = 0; chi < view_.folds; ++chi) {
        std::vector<double> line;
        double size = 0.0;
        for (std::int64_t k = 0; k < view_.depth; ++k) {
            line.push_back(folded(measure_.data(), axis.n_in, view_.folds, chi, k));
            size += line.back() * line.back();
        }
        if (size > largest) {
            largest = size;
            folded_measure_ = line;
            view_.measured_block = chi;
        }
    }
    view_.measure = measure_.data();
    view_.emit = emit_.data();
    view_.folded_measure = folded_measure_.data();
}

std::int64_t BuiltOperator::bytes() const {
    const auto numbers = measure_.size() + emit_.size() + folded_measure_.size() +
                         4 * strips_.size() + zero_rows_.size();
    return weight_bytes_ + static_cast<std::int64_t>(8 * numbers + sizeof(BuiltOperator));
}

}  // namespace ipse
