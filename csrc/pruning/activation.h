// Activations and their derivatives, a vector at a time. NaN stays NaN.
#pragma once

#include "base/exp.h"
#include "base/simd.h"
#include "pruning/response_requests.h"

namespace ipse::IPSE_ISA {

template <class T>
inline Vector<T> sigmoid(Vector<T> z) noexcept {
    return broadcast(T{1}) / (broadcast(T{1}) + exponential<T>(-z));
}

template <class T, Activation activation>
inline Vector<T> activate(Vector<T> z) noexcept {
    const Vector<T> zero{};
    const Vector<T> six = broadcast(T{6});
    if constexpr (activation == Activation::relu) {
        return z < zero ? zero : z;
    } else if constexpr (activation == Activation::relu6) {
        return z < zero ? zero : (z > six ? six : z);
    } else if constexpr (activation == Activation::silu) {
        return z / (broadcast(T{1}) + exponential<T>(-z));
    } else {
        return z;
    }
}

// 0 where the activation has a corner.
template <class T, Activation activation>
inline Vector<T> slope(Vector<T> z) noexcept {
    const Vector<T> zero{};
    const Vector<T> one = broadcast(T{1});
    const Vector<T> six = broadcast(T{6});
    if constexpr (activation == Activation::relu) {
        return z > zero ? one : zero;
    } else if constexpr (activation == Activation::relu6) {
        return z > zero ? (z < six ? one : zero) : zero;
    } else if constexpr (activation == Activation::silu) {
        const Vector<T> part = sigmoid<T>(z);
        return part * (one + z * (one - part));
    } else {
        return one;
    }
}

}  // namespace ipse::IPSE_ISA
