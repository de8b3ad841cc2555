// The edges of one tree. The children of a node are one block: all visit counts, then all
// values, priors and child ids, so that a selection step reads one run of memory, whatever
// the number of children. 16 bytes an edge.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

namespace ipse::tree {

constexpr std::int32_t no_child = -1;       // no node yet
constexpr std::int32_t pending_child = -2;  // asked for, not yet told

// Where the fields of one node's children lie.
struct EdgeBlock {
    std::int32_t* visits;
    float* values;  // reward + discount * value of the child
    float* priors;  // probability; logit under Gumbel; -infinity where masked
    std::int32_t* children;
    std::int32_t count;
};

constexpr std::int64_t first_nodes = 8;  // room that a tree begins with

class EdgeStore {
public:
    static constexpr std::size_t bytes_per_edge = 16;

    std::int32_t size() const noexcept { return size_; }
    std::size_t bytes() const noexcept { return bytes_of(capacity_); }

    // Shallow like a span: a const store gives a block whose fields can be written.
    EdgeBlock block(std::int32_t offset, std::int32_t count) const noexcept {
        std::byte* start = bytes_.get() + static_cast<std::size_t>(offset) * bytes_per_edge;
        const std::size_t field = static_cast<std::size_t>(count) * 4;
        return {reinterpret_cast<std::int32_t*>(start), reinterpret_cast<float*>(start + field),
                reinterpret_cast<float*>(start + 2 * field),
                reinterpret_cast<std::int32_t*>(start + 3 * field), count};
    }

    // Asks for the memory of a block that may be there; any offset is harmless.
    void prefetch(std::int64_t offset, std::int32_t count) const noexcept {
        if (offset + count > size_) {
            return;
        }
        const std::byte* start = bytes_.get() + static_cast<std::size_t>(offset) * bytes_per_edge;
        for (std::int32_t line = 0; line < std::min(count / 4 + 1, 8); ++line) {
            __builtin_prefetch(start + 64 * line);
        }
    }

    // Room for `extra` more edges; the only function that allocates.
    void reserve(std::int64_t extra) {
        const std::int64_t needed = size_ + extra;
        if (needed <= capacity_) {
            return;
        }
        // The first block makes room for some more of its kind.
        const std::int64_t capacity =
            capacity_ == 0 ? first_nodes * extra : std::max(needed, capacity_ + capacity_ / 2);
        std::unique_ptr<std::byte[]> grown(new std::byte[bytes_of(capacity)]);
        if (size_ > 0) {
            std::memcpy(grown.get(), bytes_.get(),
                        static_cast<std::size_t>(size_) * bytes_per_edge);
        }
        bytes_ = std::move(grown);
        capacity_ = capacity;
    }

    // Offset of a new block without visits; room must be there.
    std::int32_t append(std::int32_t count) noexcept {
        const std::int32_t offset = size_;
        size_ += count;
        return offset;
    }

private:
    // Groups of four lanes may read, not use, up to three entries past the last block.
    static std::size_t bytes_of(std::int64_t edges) noexcept {
        return (static_cast<std::size_t>(edges) + 1) * bytes_per_edge;
    }

    std::unique_ptr<std::byte[]> bytes_;
    std::int64_t capacity_ = 0;
    std::int32_t size_ = 0;
};

}  // namespace ipse::tree
