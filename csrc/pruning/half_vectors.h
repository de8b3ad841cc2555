// Vectors of 16-bit numbers read into float and written back: base/half.h, lane by lane the same.
#pragma once

#include <cstdint>

#include "base/half.h"
#include "base/simd.h"

namespace ipse::IPSE_ISA {

namespace detail {

using FloatWord = typename Simd<float>::Word;
typedef std::uint16_t HalfWords
    __attribute__((vector_size(IPSE_VECTOR_BYTES / 2), aligned(2), may_alias));

template <class S>
inline FloatWord load_words(const S* from) noexcept {
    return __builtin_convertvector(*reinterpret_cast<const HalfWords*>(from), FloatWord);
}

template <class S>
inline void store_words(S* to, FloatWord words) noexcept {
    *reinterpret_cast<HalfWords*>(to) = __builtin_convertvector(words, HalfWords);
}

}  // namespace detail

inline Vector<float> load_half(const BFloat16* from) noexcept {
    return reinterpret_cast<Vector<float>>(detail::load_words(from) << 16);
}

inline Vector<float> load_half(const Float16* from) noexcept {
    using Word = detail::FloatWord;
    const Word words = detail::load_words(from);
    const Word magnitude = (words & 0x7fffU) << 13;
    const Word sign = (words & 0x8000U) << 16;
    const Vector<float> scaled = reinterpret_cast<Vector<float>>(magnitude) * 0x1p112f;
    const Word special = magnitude >= 0x0f800000U ? 0x7f800000U - Word{} : Word{};
    return reinterpret_cast<Vector<float>>(reinterpret_cast<Word>(scaled) | special | sign);
}

inline void store_half(BFloat16* to, Vector<float> value) noexcept {
    using Word = detail::FloatWord;
    const Word bits = reinterpret_cast<Word>(value);
    const Word rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
    const Word quiet = (bits >> 16) | 0x0040U;
    detail::store_words(to, (bits & 0x7fffffffU) > 0x7f800000U ? quiet : rounded);
}

inline void store_half(Float16* to, Vector<float> value) noexcept {
    using Word = detail::FloatWord;
    const Word bits = reinterpret_cast<Word>(value);
    const Word sign = (bits >> 16) & 0x8000U;
    const Word magnitude = bits & 0x7fffffffU;
    const Word small =
        reinterpret_cast<Word>(reinterpret_cast<Vector<float>>(magnitude) + 0.5f) - 0x3f000000U;
    const Word normal = (magnitude - 0x38000000U + 0xfffU + ((magnitude >> 13) & 1U)) >> 13;
    Word half = magnitude < 0x38800000U ? small : normal;
    half = magnitude >= 0x47800000U ? 0x7c00U - Word{} : half;
    half = magnitude > 0x7f800000U ? 0x7e00U - Word{} : half;
    detail::store_words(to, sign | half);
}

}  // namespace ipse::IPSE_ISA
