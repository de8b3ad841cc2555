#include "bindings/tree_evaluations.h"

#include <cmath>
#include <string>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/tree_checked.h"

namespace ipse::bindings {
namespace {

using tree::TicketState;

py::object item(const py::dict& children, const char* key) {
    return children.contains(key) ? py::object(children[key]) : py::object(py::none());
}

void take_tickets(Checked& checked, const tree::SearchForest& forest, const py::array& tickets,
                  bool expanded) {
    if (tickets.ndim() != 1) {
        value_error(checked.name, "tickets must have shape (L,), got " +
                                      std::to_string(tickets.ndim()) + " axes");
    }
    checked.evaluations.count = tickets.size();
    checked.evaluations.tickets =
        vector_of<std::int64_t>(checked, "tickets", tickets, tickets.size());
    for (std::int64_t index = 0; index < tickets.size(); ++index) {
        const TicketState state = forest.state_of(checked.evaluations.tickets[index]);
        if (state == TicketState::unknown || (expanded && state == TicketState::pending)) {
            value_error(checked.name,
                        "ticket " + std::to_string(checked.evaluations.tickets[index]) +
                            (state == TicketState::unknown ? " was never issued"
                                                           : " must be expanded first"));
        }
    }
}

const float* finite_vector(Checked& checked, const char* argument, const py::object& given,
                           bool nan_allowed = false) {
    const std::int64_t count = checked.evaluations.count;
    const float* values = vector_of<float>(checked, argument, given, count);
    for (std::int64_t index = 0; values != nullptr && index < count; ++index) {
        if (!std::isfinite(values[index]) && !(nan_allowed && std::isnan(values[index]))) {
            value_error(checked.name, std::string(argument) + " must be finite, got " +
                                          number_text(values[index]) + checked.at(index));
        }
    }
    return values;
}

void take_values(Checked& checked, const py::array& values, const py::object& rollouts) {
    checked.evaluations.values = finite_vector(checked, "values", values);
    checked.evaluations.rollouts = finite_vector(checked, "rollouts", rollouts, true);
}

// The number of children of every leaf, from num_children or the width of the priors.
void take_counts(Checked& checked, const py::dict& children, const py::object& priors) {
    const std::int64_t count = checked.evaluations.count;
    const py::object given = item(children, "num_children");
    const auto* terminal = checked.evaluations.terminal;
    std::int64_t width = -1;
    if (given.is_none() && !priors.is_none()) {
        const auto array = py::array::ensure(priors);
        if (!array || array.ndim() != 2 || array.shape(0) != count) {
            value_error(checked.name, "priors must have shape (" + std::to_string(count) +
                                          ", A), or be flat beside num_children");
        }
        width = array.shape(1);
    }
    const auto* counts = vector_of<std::int32_t>(checked, "num_children", given, count);
    checked.counts.resize(static_cast<std::size_t>(count));
    checked.offsets.resize(static_cast<std::size_t>(count));
    for (std::int64_t index = 0; index < count; ++index) {
        const bool ended = terminal != nullptr && terminal[index];
        const std::int64_t own = counts != nullptr ? counts[index] : width;
        if (own < 0 && !(ended && counts == nullptr)) {
            value_error(checked.name,
                        counts == nullptr
                            ? "priors or num_children must be given" + checked.at(index)
                            : "num_children must be at least 0, got " + std::to_string(own) +
                                  checked.at(index));
        }
        checked.offsets[static_cast<std::size_t>(index)] = checked.edges;
        checked.counts[static_cast<std::size_t>(index)] =
            ended ? 0 : static_cast<std::int32_t>(own);
        checked.edges += own < 0 ? 0 : own;
    }
    checked.evaluations.num_children = checked.counts.data();
    checked.evaluations.offsets = checked.offsets.data();
}

void require_edges_fit(const Checked& checked, const tree::SearchForest& forest) {
    for (std::int64_t index = 0; index < checked.evaluations.count; ++index) {
        const std::size_t owner = tree::tree_of(checked.evaluations.tickets[index]);
        if (forest.trees()[owner].edges.size() + checked.edges > (std::int64_t{1} << 31) - 64) {
            value_error(checked.name,
                        "tree " + std::to_string(owner) + " would have more than 2^31 edges");
        }
    }
}

void refuse_unknown(const Checked& checked, const py::dict& children) {
    for (const auto& [key, value] : children) {
        const auto word = key.cast<std::string>();
        bool known = false;
        for (const char* name : {"priors", "logits", "num_children", "mask", "child_values",
                                 "rewards", "discounts", "terminal", "to_play", "rollouts"}) {
            known = known || word == name;
        }
        if (!known) {
            value_error(checked.name, "there is no argument '" + word + "'");
        }
    }
}

void take_children(Checked& checked, const tree::SearchForest& forest, const py::dict& children) {
    refuse_unknown(checked, children);
    const std::int64_t count = checked.evaluations.count;
    checked.evaluations.terminal =
        vector_of<bool>(checked, "terminal", item(children, "terminal"), count);
    checked.evaluations.to_play =
        vector_of<std::int32_t>(checked, "to_play", item(children, "to_play"), count);
    checked.evaluations.rewards = finite_vector(checked, "rewards", item(children, "rewards"));
    checked.evaluations.discounts =
        finite_vector(checked, "discounts", item(children, "discounts"));
    const py::object logits = item(children, "logits");
    const py::object priors = item(children, "priors");
    if (!logits.is_none() && !priors.is_none()) {
        value_error(checked.name, "priors and logits must not both be given");
    }
    const py::object& given = logits.is_none() ? priors : logits;
    take_counts(checked, children, given);
    take_priors(checked, given, !logits.is_none());
    take_mask(checked, item(children, "mask"));
    checked.evaluations.child_values =
        vector_of<float>(checked, "child_values", item(children, "child_values"), checked.edges);
    for (std::int64_t edge = 0; checked.evaluations.child_values != nullptr && edge < checked.edges;
         ++edge) {
        if (!std::isfinite(checked.evaluations.child_values[edge])) {
            value_error(checked.name, "child_values must be finite, got " +
                                          number_text(checked.evaluations.child_values[edge]) +
                                          " at entry " + std::to_string(edge));
        }
    }
    require_edges_fit(checked, forest);
}

std::int64_t accept(tree::SearchForest& forest, const Checked& checked, int num_threads) {
    const int threads = thread_count(checked.name, num_threads);
    const py::gil_scoped_release release;
    return forest.accept(checked.evaluations, threads);
}

}  // namespace

std::int64_t tell_leaves(tree::SearchForest& forest, const py::array& tickets,
                         const py::array& values, const py::dict& children, int num_threads) {
    Checked checked;
    checked.name = "forest.tell";
    take_tickets(checked, forest, tickets, false);
    take_values(checked, values, item(children, "rollouts"));
    take_children(checked, forest, children);
    return accept(forest, checked, num_threads);
}

std::int64_t expand_leaves(tree::SearchForest& forest, const py::array& tickets,
                           const py::dict& children, int num_threads) {
    Checked checked;
    checked.name = "forest.expand";
    take_tickets(checked, forest, tickets, false);
    take_children(checked, forest, children);
    return accept(forest, checked, num_threads);
}

std::int64_t back_up_leaves(tree::SearchForest& forest, const py::array& tickets,
                            const py::array& values, const py::object& rollouts, int num_threads) {
    Checked checked;
    checked.name = "forest.backup";
    take_tickets(checked, forest, tickets, true);
    take_values(checked, values, rollouts);
    return accept(forest, checked, num_threads);
}

}  // namespace ipse::bindings
