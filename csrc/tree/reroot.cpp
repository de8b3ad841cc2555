// Subtree reuse: the nodes below one action of the root, copied in their order of creation.
#include <algorithm>

#include "tree/forest.h"
#include "tree/noise.h"

namespace ipse::tree {
namespace {

// New ids of the nodes below `root`, -1 for the others. Parents precede their children, so one
// pass over the ids from `root` on suffices.
std::vector<std::int32_t> new_ids(const SearchTree& tree, std::int32_t root) {
    std::vector<std::int32_t> ids(tree.hot.size(), -1);
    if (root < 0) {
        return ids;
    }
    std::int32_t next = 0;
    ids[static_cast<std::size_t>(root)] = next++;
    for (auto node = static_cast<std::size_t>(root) + 1; node < ids.size(); ++node) {
        if (ids[static_cast<std::size_t>(tree.hot[node].parent)] >= 0) {
            ids[node] = next++;
        }
    }
    return ids;
}

void copy_node(const SearchTree& from, std::size_t node, const std::vector<std::int32_t>& ids,
               SearchTree& to) {
    const HotNode& old = from.hot[node];
    HotNode hot = old;
    hot.parent = old.parent < 0 ? -1 : ids[static_cast<std::size_t>(old.parent)];
    hot.edges = to.edges.append(old.num_children);
    to.hot.push_back(hot);
    to.cold.push_back(from.cold[node]);
    const EdgeBlock source = from.children(old);
    const EdgeBlock target = to.children(hot);
    std::copy(source.visits, source.visits + source.count, target.visits);
    std::copy(source.values, source.values + source.count, target.values);
    std::copy(source.priors, source.priors + source.count, target.priors);
    for (std::int32_t edge = 0; edge < source.count; ++edge) {
        const std::int32_t child = source.children[edge];
        target.children[edge] = child < 0 ? child : ids[static_cast<std::size_t>(child)];
    }
}

// The subtree as a tree of its own, all memory allocated before anything is given up.
SearchTree copy_below(const SearchTree& from, std::int32_t root,
                      const std::vector<std::int32_t>& ids) {
    SearchTree to;
    std::size_t nodes = 0;
    std::int64_t edges = 0;
    for (std::size_t node = 0; node < ids.size(); ++node) {
        nodes += ids[node] >= 0 ? 1 : 0;
        edges += ids[node] >= 0 ? from.hot[node].num_children : 0;
    }
    to.hot.reserve(nodes);
    to.cold.reserve(nodes);
    to.edges.reserve(edges);
    if (root < 0) {
        return to;
    }
    for (auto node = static_cast<std::size_t>(root); node < ids.size(); ++node) {
        if (ids[node] >= 0) {
            copy_node(from, node, ids, to);
        }
    }
    to.hot[0].parent = -1;
    to.hot[0].parent_edge = -1;
    to.hot[0].reward = 0.0F;
    to.hot[0].discount = 1.0F;
    const std::int32_t depth = to.cold[0].depth;
    for (ColdNode& cold : to.cold) {
        cold.depth -= depth;
    }
    to.gumbel.reserve(static_cast<std::size_t>(to.hot[0].num_children));
    return to;
}

}  // namespace

std::vector<std::int32_t> SearchForest::reroot(std::int64_t index, std::int32_t action) {
    SearchTree& tree = trees_[static_cast<std::size_t>(index)];
    std::vector<std::int64_t> tickets;
    for (const PendingLeaf& leaf : tree.pending) {
        tickets.push_back(make_ticket(index, leaf.serial));
    }
    cancel(tickets.data(), static_cast<std::int64_t>(tickets.size()));
    const std::int32_t child = tree.children(0).children[action];
    std::vector<std::int32_t> ids = new_ids(tree, child);
    SearchTree kept = copy_below(tree, child, ids);
    kept.key = tree.key;
    kept.epoch = tree.epoch + 1;
    kept.next_serial = tree.next_serial;
    kept.collisions = tree.collisions;
    tree = std::move(kept);
    for (const HotNode& node : tree.hot) {
        tree.update_range(node.reward + node.discount * node.value);
    }
    if (!tree.empty()) {
        prepare_root(guide_.rules, tree);
    }
    return ids;
}

}  // namespace ipse::tree
