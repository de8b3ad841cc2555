#include "tree/forest.h"

#include <algorithm>

#include "base/parallel.h"
#include "tree/backup.h"
#include "tree/leaves.h"
#include "tree/select_gumbel.h"

namespace ipse::tree {
namespace {

// Trees are handed to threads in blocks, and a thread is worth starting for so many walks.
constexpr std::int64_t block_trees = 16;
constexpr std::int64_t walks_per_thread = 256;

int useful_threads(int threads, std::int64_t walks) noexcept {
    return static_cast<int>(std::clamp<std::int64_t>(walks / walks_per_thread, 1, threads));
}

}  // namespace

SearchForest::SearchForest(std::int64_t num_trees, const Rules& rules) : guide_(rules) {
    trees_.resize(static_cast<std::size_t>(num_trees));
    for (std::size_t index = 0; index < trees_.size(); ++index) {
        trees_[index].key = index;
    }
}

std::vector<std::vector<float>>& SearchForest::scratch_for(int threads) {
    scratch_.resize(std::max(scratch_.size(), static_cast<std::size_t>(threads)));
    for (std::vector<float>& scratch : scratch_) {
        scratch.resize(std::max(scratch.size(), 2 * static_cast<std::size_t>(widest_)));
    }
    return scratch_;
}

const std::vector<SelectedLeaf>& SearchForest::select(std::int32_t width, std::int64_t limit,
                                                      int threads) {
    const auto count = static_cast<std::int64_t>(trees_.size());
    threads = useful_threads(threads, count * width);
    std::vector<std::vector<float>>& scratch = scratch_for(threads);
    selected_.resize(static_cast<std::size_t>(count) * static_cast<std::size_t>(width));
    for (SearchTree& tree : trees_) {
        make_room_for_leaves(tree, width);
    }
    const std::int64_t blocks = (count + block_trees - 1) / block_trees;
    std::vector<std::int32_t> found(static_cast<std::size_t>(count));
    parallel_for(blocks, threads, [&](std::int64_t block, int worker) {
        const std::int64_t end = std::min(count, (block + 1) * block_trees);
        for (std::int64_t tree = block * block_trees; tree < end; ++tree) {
            if (tree + 1 < end && !trees_[static_cast<std::size_t>(tree) + 1].empty()) {
                const SearchTree& next = trees_[static_cast<std::size_t>(tree) + 1];
                next.prefetch(0, next.hot[0].num_children);
            }
            found[static_cast<std::size_t>(tree)] =
                select_in(tree, width, limit, scratch[static_cast<std::size_t>(worker)].data(),
                          selected_.data() + tree * width);
        }
    });
    auto to = selected_.begin();
    for (std::int64_t tree = 0; tree < count; ++tree) {
        const auto from = selected_.begin() + tree * width;
        to = std::copy(from, from + found[static_cast<std::size_t>(tree)], to);
    }
    selected_.erase(to, selected_.end());
    return selected_;
}

std::int32_t SearchForest::select_in(std::int64_t index, std::int32_t width, std::int64_t limit,
                                     float* scratch, SelectedLeaf* slots) noexcept {
    SearchTree& tree = trees_[static_cast<std::size_t>(index)];
    std::int32_t found = 0;
    const auto hand_out = [&](const Walk& walk) {
        const PendingLeaf& leaf = add_pending(tree, walk);
        const float value = walk.parent < 0 ? 0.0F : tree.children(walk.parent).values[walk.edge];
        slots[found++] = {make_ticket(index, leaf.serial),
                          static_cast<std::int32_t>(index),
                          walk.parent,
                          walk.edge,
                          walk.node,
                          walk.depth,
                          value};
    };
    if (tree.empty()) {
        if (tree.pending.empty() && limit > 0) {
            hand_out({WalkEnd::leaf, -1, -1, -1, 0});
        }
        return found;
    }
    for (std::int32_t turn = 0; turn < width; ++turn) {
        const auto in_flight = static_cast<std::int64_t>(tree.pending.size());
        if (tree.simulations + in_flight >= limit || in_flight >= most_pending) {
            break;
        }
        mark_pending(tree);
        const Walk next = walk(guide_, tree, scratch);
        if (next.end == WalkEnd::terminal) {
            ++tree.simulations;
            back_up_terminal(guide_.rules, tree, next.node);
        } else if (next.end == WalkEnd::collision) {
            ++tree.collisions;
            break;
        } else if (next.node < 0 && is_full(guide_.rules, tree)) {
            break;
        } else {
            hand_out(next);
        }
    }
    return found;
}

TicketState SearchForest::state_of(std::int64_t ticket) const noexcept {
    if (ticket < 0 || tree_of(ticket) >= trees_.size()) {
        return TicketState::unknown;
    }
    const SearchTree& tree = trees_[tree_of(ticket)];
    if (serial_of(ticket) >= tree.next_serial) {
        return TicketState::unknown;
    }
    const PendingLeaf* leaf = find_pending(tree, serial_of(ticket));
    if (leaf == nullptr) {
        return TicketState::done;
    }
    if (leaf->expanded != 0) {
        return TicketState::expanded;
    }
    return leaf->node < 0 ? TicketState::pending : TicketState::known;
}

// Indices of the leaves to work on, ordered by ticket: those of one tree follow each other.
static std::vector<std::int64_t> working_order(const SearchForest& forest,
                                               const Evaluations& evaluations) {
    std::vector<std::int64_t> order;
    order.reserve(static_cast<std::size_t>(evaluations.count));
    for (std::int64_t index = 0; index < evaluations.count; ++index) {
        const TicketState state = forest.state_of(evaluations.tickets[index]);
        const bool wanted = evaluations.values != nullptr ? state != TicketState::done
                                                          : state == TicketState::pending;
        if (wanted) {
            order.push_back(index);
        }
    }
    const auto before = [&](std::int64_t a, std::int64_t b) {
        return evaluations.tickets[a] < evaluations.tickets[b];
    };
    if (!std::is_sorted(order.begin(), order.end(), before)) {
        std::stable_sort(order.begin(), order.end(), before);
    }
    const auto same = [&](std::int64_t a, std::int64_t b) {
        return evaluations.tickets[a] == evaluations.tickets[b];
    };
    order.erase(std::unique(order.begin(), order.end(), same), order.end());
    return order;
}

void SearchForest::make_room_for(const Evaluations& evaluations,
                                 const std::vector<std::int64_t>& order) {
    for (std::size_t begin = 0; begin < order.size();) {
        const std::size_t owner = tree_of(evaluations.tickets[order[begin]]);
        std::int64_t edges = 0;
        std::size_t end = begin;
        for (; end < order.size() && tree_of(evaluations.tickets[order[end]]) == owner; ++end) {
            const std::int32_t children =
                evaluations.num_children == nullptr ? 0 : evaluations.num_children[order[end]];
            edges += children;
            note_width(children);
        }
        make_room_for_nodes(trees_[owner], end - begin, edges);
        begin = end;
    }
}

std::int64_t SearchForest::accept(const Evaluations& evaluations, int threads) {
    const std::vector<std::int64_t> order = working_order(*this, evaluations);
    make_room_for(evaluations, order);
    const auto count = static_cast<std::int64_t>(order.size());
    threads = useful_threads(threads, count);
    // A thread takes the trees whose first leaf lies in its share.
    parallel_for(threads, threads, [&](std::int64_t share, int) {
        const auto owner = [&](std::int64_t place) {
            return tree_of(evaluations.tickets[order[static_cast<std::size_t>(place)]]);
        };
        const auto start_of = [&](std::int64_t place) {
            while (place > 0 && place < count && owner(place) == owner(place - 1)) {
                ++place;
            }
            return place;
        };
        const std::int64_t end = start_of(count * (share + 1) / threads);
        for (std::int64_t place = start_of(count * share / threads); place < end; ++place) {
            accept_one(evaluations, order[static_cast<std::size_t>(place)]);
        }
    });
    return count;
}

void SearchForest::accept_one(const Evaluations& evaluations, std::int64_t index) noexcept {
    const std::int64_t ticket = evaluations.tickets[index];
    SearchTree& tree = trees_[tree_of(ticket)];
    PendingLeaf& leaf = *find_pending(tree, serial_of(ticket));
    if (leaf.node < 0) {
        expand_leaf(guide_.rules, tree, leaf, evaluations, index);
    }
    if (evaluations.values != nullptr) {
        const float rollout = evaluations.rollouts == nullptr
                                  ? std::numeric_limits<float>::quiet_NaN()
                                  : evaluations.rollouts[index];
        tree.simulations += leaf.parent < 0 ? 0 : 1;
        back_up_evaluation(guide_.rules, tree, leaf.node, evaluations.values[index], rollout);
        remove_pending(tree, leaf);
    }
}

void SearchForest::cancel(const std::int64_t* tickets, std::int64_t count) noexcept {
    for (std::int64_t index = 0; index < count; ++index) {
        SearchTree& tree = trees_[tree_of(tickets[index])];
        if (PendingLeaf* leaf = find_pending(tree, serial_of(tickets[index])); leaf != nullptr) {
            release_edge(tree, *leaf);
            remove_pending(tree, *leaf);
        }
    }
}

void SearchForest::root_sigmas(std::int64_t index, float* sigmas) {
    const SearchTree& tree = trees_[static_cast<std::size_t>(index)];
    std::vector<float> probabilities(static_cast<std::size_t>(tree.hot[0].num_children));
    const Step step{guide_.rules, tree, 0, 0, false, 0.0F, nullptr};
    completed_values(step, sigmas, probabilities.data());
}

void SearchForest::note_width(std::int32_t children) noexcept {
    widest_ = std::max(widest_, children);
}

std::size_t SearchForest::bytes() const noexcept {
    std::size_t total = sizeof(*this);
    for (const SearchTree& tree : trees_) {
        total += sizeof(tree) + tree.bytes();
    }
    return total;
}

}  // namespace ipse::tree
