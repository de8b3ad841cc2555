// Tokens picked out of each sample and put back: copies of whole rows, and sums for the gradient.
#include <cstring>

#include "base/half.h"
#include "base/isa_table.h"
#include "base/parallel.h"
#include "base/shares.h"

namespace ipse::IPSE_ISA {
namespace {

template <class S>
class Tokens {
public:
    explicit Tokens(const TokenSubset& request)
        : request_(request),
          width_(request.all.width),
          threads_(
              useful_threads(request.all.samples * (request.all.tokens + request.chosen.tokens),
                             width_, 1, request.threads)),
          seen_(threads_, request.all.tokens),
          wrong_(threads_, 1) {}

    std::int64_t gather() noexcept {
        return for_each_sample([&](std::int64_t sample, unsigned char*) {
            return for_each_index(sample, [&](std::int64_t k, std::int64_t token) {
                copy(row(request_.chosen, sample, k), row(request_.all, sample, token));
                return true;
            });
        });
    }

    std::int64_t scatter() noexcept {
        return for_each_sample([&](std::int64_t sample, unsigned char* seen) {
            std::memset(seen, 0, static_cast<std::size_t>(request_.all.tokens));
            const bool right = for_each_index(sample, [&](std::int64_t k, std::int64_t token) {
                if (seen[token] != 0) {
                    return false;
                }
                seen[token] = 1;
                copy(row(request_.all, sample, token), row(request_.chosen, sample, k));
                return true;
            });
            fill_unseen(sample, seen, static_cast<const S*>(request_.fill));
            return right;
        });
    }

    std::int64_t add() noexcept {
        return for_each_sample([&](std::int64_t sample, unsigned char* seen) {
            std::memset(seen, 0, static_cast<std::size_t>(request_.all.tokens));
            const bool right = for_each_index(sample, [&](std::int64_t k, std::int64_t token) {
                S* to = row(request_.all, sample, token);
                const S* from = row(request_.chosen, sample, k);
                if (seen[token] == 0) {
                    copy(to, from);
                    seen[token] = 1;
                } else {
                    add_row(to, from);
                }
                return true;
            });
            fill_unseen(sample, seen, nullptr);
            return right;
        });
    }

private:
    using T = typename Storage<S>::Compute;

    S* row(const TokenBlock& block, std::int64_t sample, std::int64_t token) const noexcept {
        return static_cast<S*>(block.data) + sample * block.sample_stride +
               token * block.token_stride;
    }

    void copy(S* to, const S* from) const noexcept {
        std::memcpy(to, from, static_cast<std::size_t>(width_) * sizeof(S));
    }

    void add_row(S* to, const S* from) const noexcept {
        for (std::int64_t d = 0; d < width_; ++d) {
            to[d] = write<S>(read<T>(to[d]) + read<T>(from[d]));
        }
    }

    // Zeros where `fill` is null.
    void fill_unseen(std::int64_t sample, const unsigned char* seen, const S* fill) const noexcept {
        for (std::int64_t token = 0; token < request_.all.tokens; ++token) {
            if (seen[token] != 0) {
                continue;
            }
            S* to = row(request_.all, sample, token);
            if (fill == nullptr) {
                std::memset(to, 0, static_cast<std::size_t>(width_) * sizeof(S));
            } else {
                copy(to, fill);
            }
        }
    }

    // False where an index is out of range or `visit` refuses it.
    template <class Visit>
    bool for_each_index(std::int64_t sample, const Visit& visit) const noexcept {
        const std::int64_t count = request_.chosen.tokens;
        const std::int64_t* indices = request_.indices + sample * count;
        for (std::int64_t k = 0; k < count; ++k) {
            if (indices[k] < 0 || indices[k] >= request_.all.tokens || !visit(k, indices[k])) {
                return false;
            }
        }
        return true;
    }

    template <class Visit>
    std::int64_t for_each_sample(const Visit& visit) noexcept {
        const std::int64_t samples = request_.all.samples;
        for (int worker = 0; worker < threads_; ++worker) {
            *wrong_[worker] = samples;
        }
        const std::int64_t each =
            1 + 16384 / (1 + width_ * (request_.all.tokens + request_.chosen.tokens));
        parallel_for((samples + each - 1) / each, threads_, [&](std::int64_t item, int worker) {
            const std::int64_t end = (item + 1) * each < samples ? (item + 1) * each : samples;
            for (std::int64_t sample = item * each; sample < end; ++sample) {
                if (!visit(sample, seen_[worker]) && sample < *wrong_[worker]) {
                    *wrong_[worker] = sample;
                }
            }
        });
        std::int64_t first = samples;
        for (int worker = 0; worker < threads_; ++worker) {
            first = *wrong_[worker] < first ? *wrong_[worker] : first;
        }
        return first < samples ? first : -1;
    }

    const TokenSubset& request_;
    std::int64_t width_;
    int threads_;
    Shares<unsigned char> seen_;
    Shares<std::int64_t> wrong_;
};

// Calls run(S{}) with the storage type; unlike visit_dtype it lets a bad_alloc through.
template <class Run>
std::int64_t with_storage(const TokenSubset& request, const Run& run) {
    switch (request.all.dtype) {
        case DType::float64:
            return run(double{});
        case DType::bfloat16:
            return run(BFloat16{});
        case DType::float16:
            return run(Float16{});
        case DType::float32:
            break;
    }
    return run(float{});
}

std::int64_t gather(const TokenSubset& request) {
    return with_storage(request,
                        [&](auto storage) { return Tokens<decltype(storage)>(request).gather(); });
}

std::int64_t scatter(const TokenSubset& request) {
    return with_storage(request,
                        [&](auto storage) { return Tokens<decltype(storage)>(request).scatter(); });
}

std::int64_t add(const TokenSubset& request) {
    return with_storage(request,
                        [&](auto storage) { return Tokens<decltype(storage)>(request).add(); });
}

}  // namespace

const TokensTable tokens_table = {gather, scatter, add};

}  // namespace ipse::IPSE_ISA
