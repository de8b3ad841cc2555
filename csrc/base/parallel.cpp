#include "base/parallel.h"

#include <dlfcn.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace ipse {
namespace {

std::atomic<bool> forked_child{false};

// Registered once, at load: after fork the child has one thread and a dead pool.
const int fork_handler =
    pthread_atfork(nullptr, nullptr, [] { forked_child.store(true, std::memory_order_relaxed); });

bool must_run_serially() {
#ifdef _OPENMP
    return forked_child.load(std::memory_order_relaxed) || omp_in_parallel() != 0;
#else
    return true;
#endif
}

}  // namespace

void run_items(std::int64_t count, int threads, ItemBody body, void* context) {
    const auto team = static_cast<int>(std::min<std::int64_t>(count, threads));
    if (team <= 1 || must_run_serially()) {
        for (std::int64_t item = 0; item < count; ++item) {
            body(context, item, 0);
        }
        return;
    }
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic, 1) num_threads(team)
    for (std::int64_t item = 0; item < count; ++item) {
        body(context, item, omp_get_thread_num());
    }
#endif
}

int default_threads() {
    static_cast<void>(fork_handler);
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}

int processor_count() {
#ifdef _OPENMP
    return std::max(1, omp_get_num_procs());
#else
    return 1;
#endif
}

const char* openmp_runtime_path() {
#ifdef _OPENMP
    Dl_info info{};
    if (dladdr(reinterpret_cast<const void*>(&omp_get_max_threads), &info) != 0 &&
        info.dli_fname != nullptr) {
        return info.dli_fname;
    }
#endif
    return "";
}

}  // namespace ipse
