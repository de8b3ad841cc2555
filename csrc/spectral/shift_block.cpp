// Sizes n and m with a common factor g: R[p + m/g][h + n/g] = R[p][h]. Over h = r + j n/g the
// transform X_r[f] = sum over j of x[r + j n/g] w^(f j), w = exp(-2 pi i / g), splits the product
// into one for each frequency f, on n/g residues r and m/g residues s instead of n and m values:
//
//     Y_s[f] = sum over r of K_sr[f] X_r[f],   K_sr[f] = sum over d of R[s][r - d n/g] w^(f d).
//
// The residues stand around zero, r = -a .. a. Since R is real and commutes with the reflection,
// K_(-s,-r) is the conjugate of K_sr, so that between
//
//     P_r = X_r + X_-r   and   N_r = -i (X_r - X_-r)
//
// all weights are real: the real and the imaginary part of X are multiplied alike. For an even
// number of residues r = n/(2g) stands alone; X_-r is w^f X_r, and w^(f/2) X_r is what has real
// weights with the others. At f = 0 and f = g/2 every X_r is real, so each row is its real or
// its imaginary part alone: these blocks split in two once more.
//
// Rows of a block: P_0 .. P_a, the half shift, N_1 .. N_a. The factors of the way back, 1/2 of
// a pair and 1/g or 2/g of the transform, are in the weights.
#include "spectral/shift_block.h"

#include <cmath>

namespace ipse {
namespace {

using Complex = std::complex<double>;

Complex turn(std::int64_t n, std::int64_t d) {  // exp(2 pi i n / d)
    return {sine_of_turns(4 * n + d, 4 * d), sine_of_turns(n, d)};
}

// A row of a block as a sum of at most two residues.
struct Folded {
    std::int64_t residue[2] = {0, 0};
    Complex weight[2] = {0.0, 0.0};
};

// Row i as it is made from residues.
Folded split_row(std::int64_t i, std::int64_t residues, int shifts, int frequency) {
    const std::int64_t pairs = (residues - 1) / 2;
    if (i == 0) {
        return {{0, 0}, {1.0, 0.0}};
    }
    if (i <= pairs) {
        return {{i, -i}, {1.0, 1.0}};
    }
    if (residues % 2 == 0 && i == pairs + 1) {
        return {{residues / 2, 0}, {turn(-frequency, 2 * shifts), 0.0}};
    }
    const std::int64_t r = i - (residues - 1 - pairs);
    return {{r, -r}, {Complex(0.0, -1.0), Complex(0.0, 1.0)}};
}

// The other way: residues made from rows. Of row i its part in each residue.
Folded join_row(std::int64_t i, std::int64_t residues, int shifts, int frequency) {
    Folded row = split_row(i, residues, shifts, frequency);
    const bool pair = row.weight[1] != 0.0;
    for (Complex& weight : row.weight) {
        weight = std::conj(weight) / (pair ? 2.0 : 1.0);
    }
    return row;
}

// K_sr, from the powers w^(f d).
Complex kernel(const DenseAxis& axis, const std::vector<Complex>& powers, std::int64_t s,
               std::int64_t r) {
    const std::int64_t step = axis.n_in / static_cast<std::int64_t>(powers.size());
    const double* line = axis.matrix.data() + (s + axis.n_out) % axis.n_out * axis.n_in;
    std::int64_t h = (r + axis.n_in) % axis.n_in;
    Complex sum = 0.0;
    for (const Complex& power : powers) {
        sum += line[h] * power;
        h -= h < step ? step - axis.n_in : step;
    }
    return sum;
}

}  // namespace

ShiftBlock::ShiftBlock(const DenseAxis& axis, int shifts, int frequency)
    : rows(axis.n_out / shifts), depth(axis.n_in / shifts) {
    const bool once = frequency == 0 || 2 * frequency == shifts;
    const double share = (once ? 1.0 : 2.0) / shifts;
    std::vector<Complex> powers;
    for (int d = 0; d < shifts; ++d) {
        powers.push_back(turn(-frequency * d, shifts));
    }
    values_.reserve(static_cast<std::size_t>(rows * depth));
    for (std::int64_t p = 0; p < rows; ++p) {
        const Folded to = split_row(p, rows, shifts, frequency);
        // A pair of results is half its sum and half its difference.
        const double half = to.weight[1] != 0.0 ? 0.5 : 1.0;
        for (std::int64_t k = 0; k < depth; ++k) {
            const Folded from = join_row(k, depth, shifts, frequency);
            Complex sum = 0.0;
            for (int i = 0; i < 2; ++i) {
                for (int j = 0; j < 2; ++j) {
                    const Complex weight = to.weight[i] * from.weight[j];
                    if (weight != 0.0) {
                        sum += weight * kernel(axis, powers, to.residue[i], from.residue[j]);
                    }
                }
            }
            values_.push_back(share * half * sum.real());
        }
    }
}

std::vector<double> shift_measure(const std::vector<double>& line, int shifts) {
    const auto size = static_cast<std::int64_t>(line.size());
    const std::int64_t residues = size / shifts;
    std::vector<double> weights;
    for (std::int64_t i = 0; i < residues; ++i) {
        // N is real but for its factor -i, and so is the half shift but for w^(g/4).
        const Folded row = join_row(i, residues, shifts, 0);
        double sum = 0.0;
        for (int j = 0; j < 2; ++j) {
            const Complex weight = row.weight[j];
            sum += (weight.real() + weight.imag()) * line[(row.residue[j] + size) % size];
        }
        weights.push_back(sum);
    }
    return weights;
}

}  // namespace ipse
