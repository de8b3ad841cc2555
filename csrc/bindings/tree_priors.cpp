// Priors of leaves: finite, summing to one, or logits; masks.
#include <cmath>
#include <limits>

#include "bindings/tree_checked.h"

namespace ipse::bindings {
namespace {

constexpr float masked = -std::numeric_limits<float>::infinity();
constexpr double sum_tolerance = 1e-3;

void check_logits(const Checked& checked, std::int64_t index, const float* logits,
                  std::int32_t count) {
    bool any = false;
    for (std::int32_t child = 0; child < count; ++child) {
        if (std::isnan(logits[child]) || logits[child] == -masked) {
            value_error(checked.name, "logits must be finite or -inf, got " +
                                          number_text(logits[child]) + checked.at(index));
        }
        any = any || logits[child] != masked;
    }
    if (!any) {
        value_error(checked.name, "every action is masked" + checked.at(index));
    }
}

void check_priors(const Checked& checked, std::int64_t index, const float* priors,
                  std::int32_t count) {
    double sum = 0.0;
    for (std::int32_t child = 0; child < count; ++child) {
        if (!(priors[child] >= 0.0F) || !std::isfinite(priors[child])) {
            value_error(checked.name, "priors must be finite and at least 0, got " +
                                          number_text(priors[child]) + checked.at(index));
        }
        sum += static_cast<double>(priors[child]);
    }
    if (!(std::fabs(sum - 1.0) <= sum_tolerance)) {
        value_error(checked.name,
                    "priors must sum to 1, got " + number_text(sum) + checked.at(index));
    }
}

// -infinity at masked actions; probabilities are scaled to sum to 1 over the others.
void apply_mask(Checked& checked, std::int64_t index, const bool* allowed, float* priors,
                std::int32_t count) {
    double sum = 0.0;
    bool any = false;
    for (std::int32_t child = 0; child < count; ++child) {
        any = any || allowed[child];
        sum += allowed[child] ? static_cast<double>(priors[child]) : 0.0;
    }
    if (!any) {
        value_error(checked.name, "every action is masked" + checked.at(index));
    }
    for (std::int32_t child = 0; child < count; ++child) {
        if (!allowed[child]) {
            priors[child] = masked;
        } else if (!checked.evaluations.logits) {
            priors[child] = sum > 0.0 ? static_cast<float>(priors[child] / sum) : 0.0F;
        }
    }
}

}  // namespace

void take_mask(Checked& checked, const py::object& given) {
    const bool* allowed = vector_of<bool>(checked, "mask", given, checked.edges);
    if (allowed == nullptr) {
        return;
    }
    const float* priors = checked.evaluations.priors;
    checked.priors.assign(static_cast<std::size_t>(checked.edges), 1.0F);
    if (priors != nullptr) {
        checked.priors.assign(priors, priors + checked.edges);
    }
    checked.evaluations.priors = checked.priors.data();
    for (std::int64_t index = 0; index < checked.evaluations.count; ++index) {
        const std::int32_t count = checked.counts[static_cast<std::size_t>(index)];
        const std::int64_t offset = checked.offsets[static_cast<std::size_t>(index)];
        if (count > 0) {
            apply_mask(checked, index, allowed + offset, checked.priors.data() + offset, count);
        }
    }
}

void take_priors(Checked& checked, const py::object& priors, bool logits) {
    checked.evaluations.logits = logits;
    checked.evaluations.priors =
        vector_of<float>(checked, logits ? "logits" : "priors", priors, checked.edges);
    for (std::int64_t index = 0;
         checked.evaluations.priors != nullptr && index < checked.evaluations.count; ++index) {
        const std::int32_t count = checked.counts[static_cast<std::size_t>(index)];
        const float* own =
            checked.evaluations.priors + checked.offsets[static_cast<std::size_t>(index)];
        if (count > 0 && logits) {
            check_logits(checked, index, own, count);
        } else if (count > 0) {
            check_priors(checked, index, own, count);
        }
    }
}

}  // namespace ipse::bindings
