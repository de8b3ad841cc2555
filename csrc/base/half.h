// bfloat16 and IEEE half precision as storage: read into float, written with
// round-to-nearest-even. Arithmetic never happens in 16 bits.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/isa.h"
#include "base/matrix.h"

namespace ipse::IPSE_ISA {

struct BFloat16 {
    std::uint16_t bits;
};

struct Float16 {
    std::uint16_t bits;
};

template <class To, class From>
inline To bit_cast(From from) noexcept {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

inline float widen(BFloat16 value) noexcept {
    return bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16);
}

// Branch-free: shifting the half's exponent and mantissa into place gives the
// value times 2^-112, subnormals included; only infinity and NaN need their exponent back.
inline float widen(Float16 value) noexcept {
    const std::uint32_t magnitude = (value.bits & 0x7fffU) << 13;
    const std::uint32_t sign = (value.bits & 0x8000U) << 16;
    const std::uint32_t scaled = bit_cast<std::uint32_t>(bit_cast<float>(magnitude) * 0x1p112f);
    const std::uint32_t special = magnitude >= 0x0f800000U ? 0x7f800000U : 0U;
    return bit_cast<float>(scaled | special | sign);
}

inline float widen(float value) noexcept {
    return value;
}

inline double widen(double value) noexcept {
    return value;
}

template <class S>
inline S narrow(float value) noexcept;

template <>
inline float narrow<float>(float value) noexcept {
    return value;
}

template <>
inline BFloat16 narrow<BFloat16>(float value) noexcept {
    const std::uint32_t bits = bit_cast<std::uint32_t>(value);
    if (value != value) {
        return {static_cast<std::uint16_t>((bits >> 16) | 0x0040U)};  // keep it a (quiet) NaN
    }
    return {static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16)};
}

template <>
inline Float16 narrow<Float16>(float value) noexcept {
    const std::uint32_t bits = bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = (bits >> 16) & 0x8000U;
    const std::uint32_t magnitude = bits & 0x7fffffffU;
    std::uint32_t half = 0;
    if (magnitude > 0x7f800000U) {
        half = 0x7e00U;
    } else if (magnitude >= 0x47800000U) {  // 65536 and above
        half = 0x7c00U;
    } else if (magnitude < 0x38800000U) {
        // Below 2^-14: adding 0.5 leaves the half's subnormal mantissa, rounded, in the low bits.
        half = bit_cast<std::uint32_t>(bit_cast<float>(magnitude) + 0.5f) - 0x3f000000U;
    } else {
        half = (magnitude - 0x38000000U + 0xfffU + ((magnitude >> 13) & 1U)) >> 13;
    }
    return {static_cast<std::uint16_t>(sign | half)};
}

template <class S>
struct Storage {
    using Compute = float;  // what a 16-bit or 32-bit input is computed in
};

template <>
struct Storage<double> {
    using Compute = double;
};

// Values are converted to the compute type with one call, whatever the storage type.
template <class T, class S>
inline T read(const S& value) noexcept {
    return static_cast<T>(widen(value));
}

template <class S, class T>
inline S write(T value) noexcept {
    if constexpr (sizeof(S) == 8) {
        return value;
    } else {
        return narrow<S>(static_cast<float>(value));
    }
}

// Calls visit(S{}) with the storage type that `dtype` names.
template <class Visit>
inline auto visit_dtype(DType dtype, const Visit& visit) noexcept {
    switch (dtype) {
        case DType::float64:
            return visit(double{});
        case DType::bfloat16:
            return visit(BFloat16{});
        case DType::float16:
            return visit(Float16{});
        case DType::float32:
            break;
    }
    return visit(float{});
}

}  // namespace ipse::IPSE_ISA
