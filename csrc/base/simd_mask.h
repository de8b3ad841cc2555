// Comparisons of vectors as bit masks: bit i of the result is lane i.
// Only header with intrinsics: the vector extension has no way to move a mask to an integer.
#pragma once

#include <cstdint>

#include "base/simd.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

namespace ipse::IPSE_ISA {

// Lanes where not (values <= limit): greater, or either is NaN.
inline std::uint32_t mask_not_below(Vector<float> values, Vector<float> limit) noexcept {
#if IPSE_VECTOR_BYTES == 64 && defined(__AVX512F__)
    return _mm512_cmp_ps_mask(values, limit, _CMP_NLE_UQ);
#elif IPSE_VECTOR_BYTES == 32 && defined(__AVX__)
    return static_cast<std::uint32_t>(
        _mm256_movemask_ps(_mm256_cmp_ps(values, limit, _CMP_NLE_UQ)));
#elif IPSE_VECTOR_BYTES == 16 && defined(__SSE2__)
    return static_cast<std::uint32_t>(_mm_movemask_ps(_mm_cmpnle_ps(values, limit)));
#else
    std::uint32_t mask = 0;
    for (int lane = 0; lane < Simd<float>::lanes; ++lane) {
        mask |= static_cast<std::uint32_t>(!(values[lane] <= limit[lane])) << lane;
    }
    return mask;
#endif
}

inline std::uint32_t mask_not_below(Vector<double> values, Vector<double> limit) noexcept {
#if IPSE_VECTOR_BYTES == 64 && defined(__AVX512F__)
    return _mm512_cmp_pd_mask(values, limit, _CMP_NLE_UQ);
#elif IPSE_VECTOR_BYTES == 32 && defined(__AVX__)
    return static_cast<std::uint32_t>(
        _mm256_movemask_pd(_mm256_cmp_pd(values, limit, _CMP_NLE_UQ)));
#elif IPSE_VECTOR_BYTES == 16 && defined(__SSE2__)
    return static_cast<std::uint32_t>(_mm_movemask_pd(_mm_cmpnle_pd(values, limit)));
#else
    std::uint32_t mask = 0;
    for (int lane = 0; lane < Simd<double>::lanes; ++lane) {
        mask |= static_cast<std::uint32_t>(!(values[lane] <= limit[lane])) << lane;
    }
    return mask;
#endif
}

}  // namespace ipse::IPSE_ISA
