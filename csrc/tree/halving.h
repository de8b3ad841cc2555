// The order of visits of sequential halving (Karnin, Koren and Somekh, 2013; Danihelka et al.
// 2022).
#pragma once

#include <cstdint>
#include <vector>

namespace ipse::tree {

// Row m, column s: the visit count an action must have to be considered in simulation s when
// m actions are. Shape (max_considered + 1, simulations), row-major.
std::vector<std::int32_t> halving_table(std::int32_t max_considered, std::int32_t simulations);

}  // namespace ipse::tree
