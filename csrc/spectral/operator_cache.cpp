#include "spectral/operator_cache.h"

#include <algorithm>
#include <list>
#include <mutex>
#include <thread>

namespace ipse {
namespace {

constexpr std::size_t most_operators = 64;
constexpr std::int64_t most_bytes = std::int64_t{64} << 20;

struct Entry {
    OperatorKey key;
    std::shared_ptr<const BuiltOperator> built;
};

struct Cache {
    std::mutex mutex;
    std::list<Entry> entries;  // the latest used first
    std::int64_t bytes = 0;
};

// Never destroyed: threads may still work while the process ends.
Cache& cache() {
    static Cache* const instance = new Cache;
    return *instance;
}

// The lock, or none after a while: a child forked while another thread held it must not wait
// for ever. Without it the caller builds what it needs.
std::unique_lock<std::mutex> lock_soon(Cache& all) {
    std::unique_lock lock(all.mutex, std::try_to_lock);
    for (int tries = 0; !lock && tries < 10000; ++tries) {
        std::this_thread::yield();
        static_cast<void>(lock.try_lock());
    }
    return lock;
}

std::shared_ptr<const BuiltOperator> find(Cache& all, const OperatorKey& key) {
    const auto at = std::find_if(all.entries.begin(), all.entries.end(),
                                 [&](const Entry& entry) { return entry.key == key; });
    if (at == all.entries.end()) {
        return nullptr;
    }
    all.entries.splice(all.entries.begin(), all.entries, at);
    return at->built;
}

}  // namespace

std::shared_ptr<const BuiltOperator> cached_operator(const OperatorKey& key) {
    Cache& all = cache();
    {
        const auto lock = lock_soon(all);
        if (lock) {
            if (auto known = find(all, key)) {
                return known;
            }
        }
    }
    auto built = std::make_shared<const BuiltOperator>(key);
    const auto lock = lock_soon(all);
    if (!lock) {
        return built;
    }
    if (auto known = find(all, key)) {
        return known;  // another thread was faster
    }
    all.entries.push_front({key, built});
    all.bytes += built->bytes();
    while (!all.entries.empty() &&
           (all.entries.size() > most_operators || all.bytes > most_bytes)) {
        all.bytes -= all.entries.back().built->bytes();
        all.entries.pop_back();
    }
    return built;
}

OperatorCacheSize operator_cache_size() {
    Cache& all = cache();
    const std::lock_guard lock(all.mutex);
    return {static_cast<std::int64_t>(all.entries.size()), all.bytes};
}

}  // namespace ipse
