// One axis of a crop between sizes with a common factor of `shifts`, on one panel of columns:
// a short Fourier transform of the input, a small product at each of its frequencies, a short
// transform back. shift_operator.cpp has the algebra and the order of the rows.
#pragma once

#include "spectral/fold.h"
#include "spectral/real_spectrum.h"

namespace ipse::IPSE_ISA {

// One side of the map: n = shifts * residues rows, and where their spectrum lies.
template <int shifts>
struct ShiftRows {
    std::int64_t n;
    std::int64_t residues;

    explicit ShiftRows(std::int64_t size) noexcept : n(size), residues(size / shifts) {}

    // Residues -pairs .. pairs, and for an even number of them half a shift.
    std::int64_t pairs() const noexcept { return (residues - 1) / 2; }
    bool has_half() const noexcept { return residues % 2 == 0; }

    // Row of the residue r or -r after j shifts.
    std::int64_t above(std::int64_t r, int j) const noexcept { return r + residues * j; }
    std::int64_t below(std::int64_t r, int j) const noexcept {
        return residues * (j == 0 ? shifts : j) - r;
    }

    // The rows of a frequency: `residues` of part 0, then, but for the first and the last
    // frequency, as many of part 1.
    std::int64_t frequency(int k) const noexcept { return k == 0 ? 0 : (2 * k - 1) * residues; }
};

template <class T, int shifts>
class ShiftSplit {
public:
    ShiftSplit(std::int64_t n, PanelRows<const T> x, PanelRows<T> spectrum) noexcept
        : rows_(n), x_(x), spectrum_(spectrum) {}

    void run() const noexcept {
        for (int v = 0; v < Panel<T>::rows; v += Simd<T>::lanes) {
            single(v, 0, 0);
            for (std::int64_t r = 1; r <= rows_.pairs(); ++r) {
                sum(v, r);
                difference(v, r);
            }
            if (rows_.has_half()) {
                half(v);
            }
        }
    }

private:
    static constexpr int last = shifts / 2;

    struct Spectrum {
        Vector<T> cosine[last + 1];
        Vector<T> sine[last + 1];
    };

    void single(int v, std::int64_t r, std::int64_t to) const noexcept {
        Spectrum of;
        analyse<T, shifts>([&](int j) { return load(x_[rows_.above(r, j)] + v); }, of.cosine,
                           of.sine);
        write(v, to, of.cosine, of.sine);
    }

    void sum(int v, std::int64_t r) const noexcept {
        Spectrum of;
        analyse<T, shifts>(
            [&](int j) {
                return load(x_[rows_.above(r, j)] + v) + load(x_[rows_.below(r, j)] + v);
            },
            of.cosine, of.sine);
        write(v, r, of.cosine, of.sine);
    }

    // Backwards, which turns the sign of the sine.
    void difference(int v, std::int64_t r) const noexcept {
        Spectrum of;
        analyse<T, shifts>(
            [&](int j) {
                const int at = j == 0 ? 0 : shifts - j;
                return load(x_[rows_.above(r, at)] + v) - load(x_[rows_.below(r, at)] + v);
            },
            of.cosine, of.sine);
        of.sine[0] = of.cosine[0];
        of.sine[last] = of.cosine[last];
        write(v, rows_.residues - 1 - rows_.pairs() + r, of.sine, of.cosine);
    }

    void half(int v) const noexcept {
        Spectrum of;
        const std::int64_t r = rows_.residues / 2;
        analyse<T, shifts>([&](int j) { return load(x_[rows_.above(r, j)] + v); }, of.cosine,
                           of.sine);
#pragma GCC unroll 16
        for (int k = 1; k < last; ++k) {
            const T c = static_cast<T>(cosine_of_turn(k, 2 * shifts));
            const T s = static_cast<T>(sine_of_turn(k, 2 * shifts));
            const Vector<T> cosine = c * of.cosine[k] - s * of.sine[k];
            of.sine[k] = c * of.sine[k] + s * of.cosine[k];
            of.cosine[k] = cosine;
        }
        write(v, rows_.pairs() + 1, of.cosine, of.sine);
    }

    void write(int v, std::int64_t row, const Vector<T>* part0,
               const Vector<T>* part1) const noexcept {
        store(spectrum_[row] + v, part0[0]);
#pragma GCC unroll 16
        for (int k = 1; k < last; ++k) {
            const std::int64_t at = rows_.frequency(k) + row;
            store(spectrum_[at] + v, part0[k]);
            store(spectrum_[at + rows_.residues] + v, part1[k]);
        }
        store(spectrum_[rows_.frequency(last) + row] + v, part0[last]);
    }

    ShiftRows<shifts> rows_;
    PanelRows<const T> x_;
    PanelRows<T> spectrum_;
};

template <class T, int shifts>
class ShiftJoin {
public:
    ShiftJoin(std::int64_t n, PanelRows<const T> spectrum, PanelRows<T> y) noexcept
        : rows_(n), spectrum_(spectrum), y_(y) {}

    void run() const noexcept {
        for (int v = 0; v < Panel<T>::rows; v += Simd<T>::lanes) {
            single(v);
            for (std::int64_t r = 1; r <= rows_.pairs(); ++r) {
                pair(v, r);
            }
            if (rows_.has_half()) {
                half(v);
            }
        }
    }

private:
    static constexpr int last = shifts / 2;

    struct Spectrum {
        Vector<T> cosine[last + 1];
        Vector<T> sine[last + 1];
    };

    void single(int v) const noexcept {
        Spectrum of;
        read(v, 0, of.cosine, of.sine);
        synthesise<T, shifts>(of.cosine, of.sine, [&](int j, Vector<T> value) {
            store(y_[rows_.above(0, j)] + v, value);
        });
    }

    void pair(int v, std::int64_t r) const noexcept {
        Vector<T> sums[shifts];
        Spectrum of;
        read(v, r, of.cosine, of.sine);
        synthesise<T, shifts>(of.cosine, of.sine, [&](int j, Vector<T> value) { sums[j] = value; });
        read(v, rows_.residues - 1 - rows_.pairs() + r, of.sine, of.cosine);
        of.cosine[0] = of.sine[0];
        of.cosine[last] = of.sine[last];
        synthesise<T, shifts>(of.cosine, of.sine, [&](int j, Vector<T> value) {
            const int at = j == 0 ? 0 : shifts - j;
            store(y_[rows_.above(r, at)] + v, sums[at] + value);
            store(y_[rows_.below(r, at)] + v, sums[at] - value);
        });
    }

    void half(int v) const noexcept {
        Spectrum of;
        read(v, rows_.pairs() + 1, of.cosine, of.sine);
#pragma GCC unroll 16
        for (int k = 1; k < last; ++k) {
            const T c = static_cast<T>(cosine_of_turn(k, 2 * shifts));
            const T s = static_cast<T>(sine_of_turn(k, 2 * shifts));
            const Vector<T> cosine = c * of.cosine[k] + s * of.sine[k];
            of.sine[k] = c * of.sine[k] - s * of.cosine[k];
            of.cosine[k] = cosine;
        }
        const std::int64_t r = rows_.residues / 2;
        synthesise<T, shifts>(of.cosine, of.sine, [&](int j, Vector<T> value) {
            store(y_[rows_.above(r, j)] + v, value);
        });
    }

    void read(int v, std::int64_t row, Vector<T>* part0, Vector<T>* part1) const noexcept {
        part0[0] = load(spectrum_[row] + v);
#pragma GCC unroll 16
        for (int k = 1; k < last; ++k) {
            const std::int64_t at = rows_.frequency(k) + row;
            part0[k] = load(spectrum_[at] + v);
            part1[k] = load(spectrum_[at + rows_.residues] + v);
        }
        part0[last] = load(spectrum_[rows_.frequency(last) + row] + v);
    }

    ShiftRows<shifts> rows_;
    PanelRows<const T> spectrum_;
    PanelRows<T> y_;
};

// Calls visit(std::integral_constant<int, shifts>{}).
template <class Visit>
inline void visit_shifts(int shifts, const Visit& visit) noexcept {
    switch (shifts) {
        case 2:
            return visit(std::integral_constant<int, 2>{});
        case 4:
            return visit(std::integral_constant<int, 4>{});
        case 8:
            return visit(std::integral_constant<int, 8>{});
        case 16:
            return visit(std::integral_constant<int, 16>{});
        default:
            return visit(std::integral_constant<int, 32>{});
    }
}

}  // namespace ipse::IPSE_ISA
