// Gumbel MuZero (Danihelka et al. 2022): sequential halving at the root, below it the child
// furthest behind the improved policy. Priors are logits.
#pragma once

#include <cstdint>

#include "tree/step.h"

namespace ipse::tree {

// sigma(completed q) of every child into `sigmas` and its prior probability into
// `probabilities`: equations 8, 10 and 33 of the paper.
void completed_values(const Step& step, float* sigmas, float* probabilities) noexcept;

std::int32_t choose_gumbel(const Step& step, const std::int32_t* halving) noexcept;

// gumbel + logits + sigma of a root's child as the halving compares them.
float gumbel_score(float gumbel, float logit, float sigma) noexcept;

}  // namespace ipse::tree
