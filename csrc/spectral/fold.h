// The symmetries of a Fourier crop as sums and differences of rows; axis_operator.cpp has the
// algebra. Rows are those of a panel of Panel<T>::rows columns, `stride` values apart.
#pragma once

#include "base/panels.h"
#include "spectral/crop_requests.h"

namespace ipse::IPSE_ISA {

template <class T>
struct PanelRows {
    T* data = nullptr;
    std::int64_t stride = 0;

    T* operator[](std::int64_t row) const noexcept { return data + row * stride; }
};

// Of x (n rows, n even): z[h] = x[h] + x[h + n/2] (n/2 rows), and of the differences
// u[h] = x[h] - x[h + n/2] the even part u[h] + u[-h] and the odd part u[h] - u[-h], h <= n/4.
template <class T>
inline void split_halves(std::int64_t n, PanelRows<const T> x, PanelRows<T> z, PanelRows<T> even,
                         PanelRows<T> odd) noexcept {
    const std::int64_t half = n / 2;
    for (std::int64_t h = 0; h <= n / 4; ++h) {
        const T* at = x[h];
        const T* across = x[half + h];
        const T* mirrored = x[h == 0 ? 0 : n - h];
        const T* mirrored_across = x[half - h];
        T* sum = z[h];
        T* mirrored_sum = z[h == 0 ? 0 : half - h];
        T* plus = even[h];
        T* minus = odd[h];
#pragma GCC unroll 4
        for (int v = 0; v < Panel<T>::rows; v += Simd<T>::lanes) {
            const Vector<T> a = load(at + v);
            const Vector<T> b = load(mirrored + v);
            const Vector<T> c = load(mirrored_across + v);
            const Vector<T> d = load(across + v);
            const Vector<T> u = a - d;
            const Vector<T> mirrored_u = b - c;
            store(mirrored_sum + v, b + c);
            store(sum + v, a + d);
            store(plus + v, u + mirrored_u);
            store(minus + v, u - mirrored_u);
        }
    }
}

// The other way: y (n rows) from its halves' sum and the even and odd part of their difference.
template <class T>
inline void join_halves(std::int64_t n, PanelRows<const T> z, PanelRows<const T> even,
                        PanelRows<const T> odd, PanelRows<T> y) noexcept {
    const std::int64_t half = n / 2;
    for (std::int64_t p = 0; p <= n / 4; ++p) {
        const T* sum = z[p];
        const T* mirrored_sum = z[p == 0 ? 0 : half - p];
        const T* plus = even[p];
        const T* minus = odd[p];
        T* at = y[p];
        T* across = y[half + p];
        T* mirrored = y[p == 0 ? 0 : n - p];
        T* mirrored_across = y[half - p];
#pragma GCC unroll 4
        for (int v = 0; v < Panel<T>::rows; v += Simd<T>::lanes) {
            const Vector<T> u = load(plus + v) + load(minus + v);
            const Vector<T> mirrored_u = load(plus + v) - load(minus + v);
            const Vector<T> a = load(sum + v);
            const Vector<T> b = load(mirrored_sum + v);
            // At p = 0 and p = n / 4 pairs of these are one place, and equal.
            store(mirrored_across + v, b - mirrored_u);
            store(mirrored + v, b + mirrored_u);
            store(across + v, a - u);
            store(at + v, a + u);
        }
    }
}

// Of x (n rows): x[h] + x[-h] and x[h] - x[-h], h <= n/2.
template <class T>
inline void split_mirror(std::int64_t n, PanelRows<const T> x, PanelRows<T> even,
                         PanelRows<T> odd) noexcept {
    for (std::int64_t h = 0; h <= n / 2; ++h) {
        const T* at = x[h];
        const T* mirrored = x[h == 0 ? 0 : n - h];
        T* plus = even[h];
        T* minus = odd[h];
#pragma GCC unroll 4
        for (int v = 0; v < Panel<T>::rows; v += Simd<T>::lanes) {
            const Vector<T> a = load(at + v);
            const Vector<T> b = load(mirrored + v);
            store(plus + v, a + b);
            store(minus + v, a - b);
        }
    }
}

template <class T>
inline void join_mirror(std::int64_t n, PanelRows<const T> even, PanelRows<const T> odd,
                        PanelRows<T> y) noexcept {
    for (std::int64_t p = 0; p <= n / 2; ++p) {
        const T* plus = even[p];
        const T* minus = odd[p];
        T* at = y[p];
        T* mirrored = y[p == 0 ? 0 : n - p];
#pragma GCC unroll 4
        for (int v = 0; v < Panel<T>::rows; v += Simd<T>::lanes) {
            const Vector<T> a = load(plus + v);
            const Vector<T> b = load(minus + v);
            store(mirrored + v, a - b);
            store(at + v, a + b);
        }
    }
}

}  // namespace ipse::IPSE_ISA
