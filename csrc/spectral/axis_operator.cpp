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
#include <array>

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
    view_.strips = strips_of(view_.rows, key.strip);
    DenseAxis axis = key.kind == CropKind::fourier ? fourier_axis(key.n_in, key.n_out)
                                                   : lanczos_axis(key.n_in, key.n_out);
    if (key.adjoint) {
        axis = transposed(std::move(axis));
    }
    pack(axis, key);
    if (!axis.measure.empty()) {
        fold_measure(axis);
    }
}

void BuiltOperator::pack(const DenseAxis& axis, const OperatorKey& key) {
    const std::int64_t strip = key.strip;
    const std::int64_t depth = view_.depth;
    std::vector<double> all;
    std::vector<double> lines(static_cast<std::size_t>(strip * depth));
    for (int chi = 0; chi < view_.folds; ++chi) {
        for (std::int64_t first = 0; first < view_.rows; first += strip) {
            std::fill(lines.begin(), lines.end(), 0.0);
            std::int64_t begin = depth;
            std::int64_t end = 0;
            for (std::int64_t i = 0; i < std::min(strip, view_.rows - first); ++i) {
                const double* line = axis.matrix.data() + (first + i) * axis.n_in;
                for (std::int64_t k = 0; k < depth; ++k) {
                    const double value = folded(line, axis.n_in, view_.folds, chi, k);
                    lines[static_cast<std::size_t>(k * strip + i)] = value;
                    if (value != 0.0) {
                        begin = std::min(begin, k);
                        end = std::max(end, k + 1);
                    }
                }
            }
            begin = std::min(begin, end);
            band_begin_.push_back(begin);
            band_count_.push_back(end - begin);
            offset_.push_back(static_cast<std::int64_t>(all.size()));
            all.insert(all.end(), lines.begin() + begin * strip, lines.begin() + end * strip);
        }
    }
    const auto count = static_cast<std::int64_t>(all.size());
    const bool wide = key.compute == DType::float64;
    weight_bytes_ = checked_multiply(count, wide ? 8 : 4);
    weights_ = Workspace::elements(count, wide ? 8 : 4);
    if (wide) {
        std::copy(all.begin(), all.end(), static_cast<double*>(weights_.data()));
    } else {
        std::transform(all.begin(), all.end(), static_cast<float*>(weights_.data()),
                       [](double value) { return static_cast<float>(value); });
    }
    view_.weights = weights_.data();
    view_.band_begin = band_begin_.data();
    view_.band_count = band_count_.data();
    view_.offset = offset_.data();
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
                         band_begin_.size() + band_count_.size() + offset_.size();
    return weight_bytes_ + static_cast<std::int64_t>(8 * numbers + sizeof(BuiltOperator));
}

}  // namespace ipse
