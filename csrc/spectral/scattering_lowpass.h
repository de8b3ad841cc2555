// The low pass, the subsampling to the output grid and the cropping of the padding, in one.
//
// The Gaussian is separable, so all of it is rows(u) cols^T with two small matrices for each
// level: no transform is needed behind the last modulus.
#pragma once

#include <cstdint>

#include "base/isa.h"
#include "base/workspace.h"
#include "spectral/lanes.h"
#include "spectral/scattering_sizes.h"

namespace ipse::IPSE_ISA {

// outputs x inputs, cut into blocks of `block` outputs, inside of which an input's weights are
// neighbours: [output / block][input][output % block].
template <class T>
struct LowpassMatrix {
    static constexpr int block = 8;
    const T* weights;
    std::int64_t inputs;
    std::int64_t outputs;

    static constexpr std::int64_t elements(std::int64_t inputs, std::int64_t outputs) noexcept {
        return (outputs + block - 1) / block * block * inputs;
    }
};

// to[o * to_step] = sum over i of matrix[o][i] from[i]
template <class L>
[[gnu::noinline]] void apply(const LowpassMatrix<typename L::Scalar>& matrix,
                             const typename L::Vector* from, typename L::Vector* to,
                             std::int64_t to_step) noexcept {
    using T = typename L::Scalar;
    constexpr int block = LowpassMatrix<T>::block;
    const T* weights = matrix.weights;
    for (std::int64_t first = 0; first < matrix.outputs; first += block) {
        typename L::Vector sum[block] = {};
        for (std::int64_t i = 0; i < matrix.inputs; ++i) {
            const typename L::Vector value = from[i];
#pragma GCC unroll 8
            for (int o = 0; o < block; ++o) {
                sum[o] += weights[o] * value;
            }
            weights += block;
        }
        const std::int64_t left = matrix.outputs - first;
#pragma GCC unroll 8
        for (int o = 0; o < block; ++o) {
            if (o < left) {
                to[(first + o) * to_step] = sum[o];
            }
        }
    }
}

template <class T>
class Lowpass {
public:
    Lowpass(const ScatteringSizes& sizes, const double* row_kernels, const double* col_kernels)
        : sizes_(sizes) {
        std::int64_t total = 0;
        for (int level = 0; level < sizes_.scales; ++level) {
            total += elements(true, level) + elements(false, level);
        }
        weights_ = Workspace::elements(total, sizeof(T));
        T* to = static_cast<T*>(weights_.data());
        for (int level = 0; level < sizes_.scales; ++level) {
            write(true, level, row_kernels, to);
            to += elements(true, level);
            write(false, level, col_kernels, to);
            to += elements(false, level);
            row_kernels += inputs(true, level);
            col_kernels += inputs(false, level);
        }
    }

    LowpassMatrix<T> rows(int level) const noexcept { return matrix(true, level); }
    LowpassMatrix<T> cols(int level) const noexcept { return matrix(false, level); }

private:
    std::int64_t inputs(bool of_rows, int level) const noexcept {
        return of_rows ? sizes_.level_rows(level) : sizes_.level_cols(level);
    }
    std::int64_t outputs(bool of_rows) const noexcept {
        return of_rows ? sizes_.out_height : sizes_.out_width;
    }
    std::int64_t elements(bool of_rows, int level) const noexcept {
        return LowpassMatrix<T>::elements(inputs(of_rows, level), outputs(of_rows));
    }

    LowpassMatrix<T> matrix(bool of_rows, int level) const noexcept {
        const T* at = static_cast<const T*>(weights_.data());
        for (int below = 0; below < level; ++below) {
            at += elements(true, below) + elements(false, below);
        }
        at += of_rows ? 0 : elements(true, level);
        return {at, inputs(of_rows, level), outputs(of_rows)};
    }

    // Row o of the matrix is the level's kernel, centred at output o's place: one output step
    // inside the padded grid.
    void write(bool of_rows, int level, const double* kernel, T* to) const noexcept {
        constexpr int block = LowpassMatrix<T>::block;
        const std::int64_t length = inputs(of_rows, level);
        const std::int64_t step = std::int64_t{1} << (sizes_.scales - level);
        const std::int64_t count = outputs(of_rows);
        for (std::int64_t first = 0; first < count; first += block) {
            for (std::int64_t i = 0; i < length; ++i) {
                for (std::int64_t o = first; o < first + block; ++o) {
                    const std::int64_t offset = ((o + 1) * step - i + length) % length;
                    *to++ = o < count ? static_cast<T>(kernel[offset]) : T{0};
                }
            }
        }
    }

    ScatteringSizes sizes_;
    Workspace weights_;
};

}  // namespace ipse::IPSE_ISA
