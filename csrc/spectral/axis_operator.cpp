// Three ways of multiplying with the matrix R of one axis.
//
// A Fourier crop from n to m values commutes with shifts by one g-th of the period for every
// common factor g of n and m: a transform of length g splits it into small products
// (shift_block.cpp). With the reflection, R[-p][-h] = R[p][h], it always commutes:
//
//     even[h] = x[h] + x[-h],   odd[h] = x[h] - x[-h],   0 <= h <= n/2        (split)
//     y[p] = C_even[p] even + C_odd[p] odd,   y[-p] = C_even[p] even - C_odd[p] odd    (join)
//
// with C_even[p][h] = (R[p][h] + R[p][-h]) / 2, or half of it where h = -h: two products of a
// quarter of R. The Lanczos matrix is a narrow band instead, and is not split.
#include "spectral/axis_operator.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/checked_size.h"
#include "spectral/lanczos_axis.h"

namespace ipse {
namespace {

// Multiplications of a product for each column. One result at a time would wait for itself.
std::int64_t product_cost(std::int64_t rows, std::int64_t depth) {
    return std::max<std::int64_t>(rows, 2) * depth;
}

// An addition of two rows counts about as much as a multiplication.
std::int64_t mirror_cost(std::int64_t n, std::int64_t m) {
    return product_cost(m / 2 + 1, n / 2 + 1) + product_cost((m - 1) / 2, n / 2 + 1) + n + m;
}

// Of analyse or synthesise.
std::int64_t transform_cost(std::int64_t length) {
    return length == 2 ? 2 : 2 * transform_cost(length / 2) + 2 * length - 6;
}

std::int64_t shifts_cost(std::int64_t n, std::int64_t m, int shifts) {
    const std::int64_t from = n / shifts;
    const std::int64_t to = m / shifts;
    const std::int64_t once =
        product_cost(to / 2 + 1, from / 2 + 1) + product_cost((to - 1) / 2, (from - 1) / 2);
    return (from + to) * (transform_cost(shifts) + shifts) + 2 * once +
           (shifts - 2) * product_cost(to, from);
}

// How an axis is done at the least cost.
struct Way {
    std::int64_t cost;
    bool mirror = false;
    int shifts = 0;
};

Way cheapest(std::int64_t n, std::int64_t m) {
    Way best{n * m};
    const auto consider = [&](const Way& way) { best = way.cost < best.cost ? way : best; };
    consider({mirror_cost(n, m), true, 0});
    for (int shifts = 2; shifts <= most_shifts && n % shifts == 0 && m % shifts == 0; shifts *= 2) {
        consider({shifts_cost(n, m, shifts), false, shifts});
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

DenseAxis axis_of(const OperatorKey& key) {
    DenseAxis axis = key.kind == CropKind::fourier ? fourier_axis(key.n_in, key.n_out)
                                                   : lanczos_axis(key.n_in, key.n_out);
    return key.adjoint ? transposed(std::move(axis)) : axis;
}

}  // namespace

bool OperatorKey::operator==(const OperatorKey& other) const {
    return kind == other.kind && adjoint == other.adjoint && n_in == other.n_in &&
           n_out == other.n_out && compute == other.compute && strip == other.strip;
}

BuiltOperator::BuiltOperator(const OperatorKey& key) {
    view_.n_in = key.adjoint ? key.n_out : key.n_in;
    view_.n_out = key.adjoint ? key.n_in : key.n_out;
    view_.identity = key.n_in == key.n_out;
    if (view_.identity) {
        return;
    }
    const DenseAxis axis = axis_of(key);
    measure_ = axis.measure;
    emit_ = axis.emit;
    const Way way =
        key.kind == CropKind::fourier ? cheapest(view_.n_in, view_.n_out) : Way{0, false, 0};
    if (way.shifts > 0) {
        add_shifts(axis, way.shifts, key.strip);
    } else if (way.mirror) {
        add_mirror(axis, key.strip);
    } else {
        add_plain(axis, key.strip);
    }
    finish(key.compute);
}

void BuiltOperator::add_plain(const DenseAxis& axis, int strip) {
    add_block(axis, Parity::none, strip);
    if (!axis.measure.empty()) {
        add_measure(axis.measure, Parity::none);
    }
}

void BuiltOperator::add_mirror(const DenseAxis& axis, int strip) {
    view_.mirror = true;
    for (const Parity parity : {Parity::even, Parity::odd}) {
        add_block(axis, parity, strip);
        if (!axis.measure.empty()) {
            add_measure(axis.measure, parity);
        }
    }
}

void BuiltOperator::add_shifts(const DenseAxis& axis, int shifts, int strip) {
    view_.shifts = shifts;
    // The shift multiplies the measured frequency by (-1)^(m/g), m the smaller size.
    const bool alternating = std::min(axis.n_in, axis.n_out) / shifts % 2 != 0;
    for (int k = 0; k <= shifts / 2; ++k) {
        const ShiftBlock block(axis, shifts, k);
        const bool last = 2 * k == shifts;
        if (k > 0 && !last) {
            add_product(block, 0, block.rows, 0, block.depth, 2, strip);
            continue;
        }
        if (!axis.measure.empty() && last == alternating) {
            folded_measure_ = shift_measure(axis.measure, shifts);
            view_.measured_depth = block.depth;
            view_.measured_row = view_.folded_rows;
        }
        // Cosines and sines do not mix here; half a shift belongs to those, then to these.
        const std::int64_t row = (block.rows + (last ? 1 : 2)) / 2;
        const std::int64_t column = (block.depth + (last ? 1 : 2)) / 2;
        add_product(block, 0, row, 0, column, 1, strip);
        add_product(block, row, block.rows, column, block.depth, 1, strip);
        view_.folded_rows += block.depth;
        view_.result_rows += block.rows;
    }
}

// Part of a block as strips of even height.
void BuiltOperator::add_product(const ShiftBlock& block, std::int64_t row, std::int64_t row_end,
                                std::int64_t column, std::int64_t column_end, int parts,
                                int strip) {
    const std::int64_t count = (row_end - row + strip - 1) / strip;
    for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t begin = row + (row_end - row) * i / count;
        const std::int64_t end = row + (row_end - row) * (i + 1) / count;
        for (int part = 0; part < parts; ++part) {
            strips_.push_back({view_.folded_rows + part * block.depth + column, column_end - column,
                               static_cast<std::int64_t>(values_.size()),
                               view_.result_rows + part * block.rows + begin,
                               static_cast<int>(end - begin)});
        }
        for (std::int64_t k = column; k < column_end; ++k) {
            for (std::int64_t p = begin; p < begin + strip; ++p) {
                values_.push_back(p < end ? block.at(p, k) : 0.0);
            }
        }
    }
    if (parts == 2) {
        view_.folded_rows += 2 * block.depth;
        view_.result_rows += 2 * block.rows;
    }
}

// Rows of a block that are zero (the sine of 0, or of half a turn) cost no strip.
void BuiltOperator::add_block(const DenseAxis& axis, Parity parity, int strip) {
    const FoldedBlock block(axis, parity);
    const AxisBlock at{view_.folded_rows, view_.result_rows};
    for (std::int64_t p = 0; p < block.rows; ++p) {
        if (p < block.first || p >= block.last) {
            zero_rows_.push_back(at.result_row + p);
        }
    }
    for (std::int64_t p = block.first; p < block.last; p += strip) {
        const std::int64_t present = std::min<std::int64_t>(strip, block.last - p);
        const auto [begin, end] = block.band(p, p + present);
        strips_.push_back({at.folded_row + begin, end - begin,
                           static_cast<std::int64_t>(values_.size()), at.result_row + p,
                           static_cast<int>(present)});
        for (std::int64_t k = begin; k < end; ++k) {
            for (std::int64_t i = 0; i < strip; ++i) {
                values_.push_back(i < present ? block.at(p + i, k) : 0.0);
            }
        }
    }
    blocks_.push_back(at);
    view_.folded_rows += block.depth;
    view_.result_rows += block.rows;
}

// The measured vector is even or odd, so one block of the two, the last one added, sees all of it.
void BuiltOperator::add_measure(const std::vector<double>& line, Parity parity) {
    const auto size = static_cast<std::int64_t>(line.size());
    const std::int64_t depth = folded_size(size, parity);
    std::vector<double> folded;
    double largest = 0.0;
    for (std::int64_t k = 0; k < depth; ++k) {
        folded.push_back(folded_value(line.data(), size, parity, k));
        largest = std::max(largest, std::abs(folded.back()));
    }
    if (largest > 1e-9 / static_cast<double>(size)) {
        folded_measure_ = std::move(folded);
        view_.measured_depth = depth;
        view_.measured_row = view_.folded_rows - depth;
    }
}

void BuiltOperator::finish(DType compute) {
    const bool wide = compute == DType::float64;
    const auto count = static_cast<std::int64_t>(values_.size());
    weight_bytes_ = checked_multiply(count, wide ? 8 : 4);
    weights_ = Workspace::elements(count, wide ? 8 : 4);
    if (wide) {
        std::copy(values_.begin(), values_.end(), static_cast<double*>(weights_.data()));
    } else {
        std::transform(values_.begin(), values_.end(), static_cast<float*>(weights_.data()),
                       [](double value) { return static_cast<float>(value); });
    }
    values_ = {};
    view_.weights = weights_.data();
    view_.blocks = blocks_.data();
    view_.strips = strips_.data();
    view_.strip_count = static_cast<std::int64_t>(strips_.size());
    view_.zero_rows = zero_rows_.data();
    view_.zero_count = static_cast<std::int64_t>(zero_rows_.size());
    if (!measure_.empty()) {
        view_.measure = measure_.data();
        view_.emit = emit_.data();
        view_.folded_measure = folded_measure_.data();
    }
}

std::int64_t BuiltOperator::bytes() const {
    const auto numbers = measure_.size() + emit_.size() + folded_measure_.size() +
                         4 * strips_.size() + 2 * blocks_.size() + zero_rows_.size();
    return weight_bytes_ + static_cast<std::int64_t>(8 * numbers + sizeof(BuiltOperator));
}

}  // namespace ipse
