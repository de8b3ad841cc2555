// The only place that knows about threads.
//
// Work is handed out item by item; a body must not throw. Results may depend on
// the number of items a driver makes of its work, never on which thread runs one.
#pragma once

#include <cstdint>

namespace ipse {

using ItemBody = void (*)(void* context, std::int64_t item, int worker);

// Calls body(context, item, worker) for every item in [0, count), on up to `threads`
// threads; `worker` < threads tells which scratch a body may use.
// Runs serially inside another parallel region and in a forked child (libgomp's
// pool does not survive fork: a DataLoader worker would wait for ever).
void run_items(std::int64_t count, int threads, ItemBody body, void* context);

// The caller's OpenMP thread count: what torch.set_num_threads() last set on this thread.
int default_threads();

// Processors this process may run on.
int processor_count();

// Path of the OpenMP runtime in use, "" if built without one.
const char* openmp_runtime_path();

template <class Body>
void parallel_for(std::int64_t count, int threads, const Body& body) {
    run_items(
        count, threads,
        [](void* context, std::int64_t item, int worker) {
            (*static_cast<const Body*>(context))(item, worker);
        },
        const_cast<void*>(static_cast<const void*>(&body)));
}

}  // namespace ipse
