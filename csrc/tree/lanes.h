// Four floats at a time, as the compilers of every platform we build on offer them
// (GCC and Clang vector types). The arithmetic is that of four scalars: the same bits.
#pragma once

#include <cstdint>
#include <cstring>

namespace ipse::tree {

constexpr std::int32_t lanes = 4;
typedef float Floats __attribute__((vector_size(16)));
typedef std::int32_t Ints __attribute__((vector_size(16)));

inline Floats load(const float* from) noexcept {
    Floats values;
    std::memcpy(&values, from, sizeof values);
    return values;
}

inline Ints load(const std::int32_t* from) noexcept {
    Ints values;
    std::memcpy(&values, from, sizeof values);
    return values;
}

inline Ints load(const std::uint16_t* from) noexcept {
    return Ints{from[0], from[1], from[2], from[3]};
}

inline Floats all(float value) noexcept {
    return Floats{value, value, value, value};
}
inline Ints all(std::int32_t value) noexcept {
    return Ints{value, value, value, value};
}
inline Ints lane_numbers(std::int32_t first) noexcept {
    return all(first) + Ints{0, 1, 2, 3};
}

// By halves: two shuffles instead of branches that cannot be predicted.
inline float smallest(Floats v) noexcept {
    const Floats swapped = __builtin_shufflevector(v, v, 2, 3, 0, 1);
    const Floats half = v < swapped ? v : swapped;
    return half[0] < half[1] ? half[0] : half[1];
}
inline float largest(Floats v) noexcept {
    const Floats swapped = __builtin_shufflevector(v, v, 2, 3, 0, 1);
    const Floats half = v > swapped ? v : swapped;
    return half[0] > half[1] ? half[0] : half[1];
}
inline std::int32_t smallest(Ints v) noexcept {
    const Ints swapped = __builtin_shufflevector(v, v, 2, 3, 0, 1);
    const Ints half = v < swapped ? v : swapped;
    return half[0] < half[1] ? half[0] : half[1];
}

inline Floats to_float(Ints values) noexcept {
    return __builtin_convertvector(values, Floats);
}
inline float to_float(std::int32_t value) noexcept {
    return static_cast<float>(value);
}

}  // namespace ipse::tree
