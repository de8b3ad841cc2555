// The reflection of a Fourier crop as sums and differences of rows; axis_operator.cpp has the
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
