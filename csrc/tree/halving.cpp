#include "tree/halving.h"

#include <algorithm>
#include <cmath>

namespace ipse::tree {
namespace {

void fill_row(std::int32_t considered, std::int32_t simulations, std::int32_t* row) {
    if (considered <= 1) {
        for (std::int32_t s = 0; s < simulations; ++s) {
            row[s] = s;
        }
        return;
    }
    const auto phases = static_cast<std::int32_t>(std::ceil(std::log2(considered)));
    std::vector<std::int32_t> visits(static_cast<std::size_t>(considered), 0);
    std::int32_t width = considered;
    std::int32_t filled = 0;
    while (filled < simulations) {
        const std::int32_t rounds = std::max(1, simulations / (phases * width));
        for (std::int32_t round = 0; round < rounds; ++round) {
            for (std::int32_t action = 0; action < width; ++action) {
                std::int32_t& count = visits[static_cast<std::size_t>(action)];
                if (filled < simulations) {
                    row[filled++] = count;
                }
                ++count;
            }
        }
        width = std::max(2, width / 2);
    }
}

}  // namespace

std::vector<std::int32_t> halving_table(std::int32_t max_considered, std::int32_t simulations) {
    const auto columns = static_cast<std::size_t>(simulations);
    std::vector<std::int32_t> table((static_cast<std::size_t>(max_considered) + 1) * columns);
    for (std::int32_t considered = 0; considered <= max_considered; ++considered) {
        fill_row(considered, simulations,
                 table.data() + static_cast<std::size_t>(considered) * columns);
    }
    return table;
}

}  // namespace ipse::tree
