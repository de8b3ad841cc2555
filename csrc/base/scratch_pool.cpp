#include "base/scratch_pool.h"

#include <array>
#include <mutex>
#include <utility>

namespace ipse::scratch_pool {
namespace {

// Under AddressSanitizer every block goes back at once, so that a late use is seen.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool enabled = false;
#else
constexpr bool enabled = true;
#endif

struct Block {
    void* data = nullptr;
    std::int64_t bytes = 0;
};

struct Pool {
    std::mutex mutex;
    std::array<Block, 64> blocks;
    std::int64_t bytes = 0;
};

// Never destroyed: threads may still work while the process ends.
Pool& pool() {
    static Pool* const instance = new Pool;
    return *instance;
}

}  // namespace

void* take(std::int64_t& bytes) noexcept {
    if (!enabled || bytes < least) {
        return nullptr;
    }
    Pool& all = pool();
    // A child forked while another thread held the lock must not wait for ever.
    const std::unique_lock lock(all.mutex, std::try_to_lock);
    if (!lock) {
        return nullptr;
    }
    Block* best = nullptr;
    for (Block& block : all.blocks) {
        const bool fits = block.data != nullptr && block.bytes >= bytes && block.bytes / 2 <= bytes;
        if (fits && (best == nullptr || block.bytes < best->bytes)) {
            best = &block;
        }
    }
    if (best == nullptr) {
        return nullptr;
    }
    all.bytes -= best->bytes;
    bytes = best->bytes;
    best->bytes = 0;
    return std::exchange(best->data, nullptr);
}

bool keep(void* data, std::int64_t bytes) noexcept {
    if (!enabled || bytes < least) {
        return false;
    }
    Pool& all = pool();
    const std::unique_lock lock(all.mutex, std::try_to_lock);
    if (!lock || all.bytes + bytes > capacity) {
        return false;
    }
    for (Block& block : all.blocks) {
        if (block.data == nullptr) {
            block = {data, bytes};
            all.bytes += bytes;
            return true;
        }
    }
    return false;
}

}  // namespace ipse::scratch_pool
