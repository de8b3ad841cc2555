// PUCT (Schrittwieser et al. 2020, appendix B): normalised value plus prior bonus.
#pragma once

#include <cstdint>

#include "tree/step.h"

namespace ipse::tree {

// sqrt(N)(c_init + ln((N + c_base + 1) / c_base)) for N visits.
float puct_factor(const Rules& rules, std::int32_t visits) noexcept;

// The child with the highest score. `factors` holds puct_factor for N < num_factors.
std::int32_t choose_puct(Step& step, const float* factors, std::int32_t num_factors) noexcept;

}  // namespace ipse::tree
