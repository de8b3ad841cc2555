// Operators that were built stay for the next call: a training run uses a handful of sizes.
#pragma once

#include <memory>

#include "spectral/axis_operator.h"

namespace ipse {

// The operator of the key, built at its first use. Any thread may call. At most 64 operators
// and 64 MiB stay; those longest unused go first, and live on while a call still uses them.
std::shared_ptr<const BuiltOperator> cached_operator(const OperatorKey& key);

struct OperatorCacheSize {
    std::int64_t operators = 0;
    std::int64_t bytes = 0;
};
OperatorCacheSize operator_cache_size();

}  // namespace ipse
