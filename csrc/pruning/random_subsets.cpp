#include "pruning/random_subsets.h"

#include <algorithm>
#include <vector>

#include "base/parallel.h"
#include "tree/random.h"

namespace ipse {
namespace {

// From 0 to `bound` - 1, all equally likely: Lemire, Fast Random Integer Generation in an
// Interval (2019). What would make some numbers likelier than others is drawn again.
std::uint64_t below(std::uint64_t bound, std::uint64_t key, std::uint64_t& counter) noexcept {
    using Wide = unsigned __int128;
    Wide product = static_cast<Wide>(tree::fold(key, counter++)) * bound;
    if (static_cast<std::uint64_t>(product) < bound) {
        const std::uint64_t least = (0 - bound) % bound;
        while (static_cast<std::uint64_t>(product) < least) {
            product = static_cast<Wide>(tree::fold(key, counter++)) * bound;
        }
    }
    return static_cast<std::uint64_t>(product >> 64);
}

// Floyd's algorithm (Bentley and Floyd, A Sample of Brilliance, 1987): `count` draws whatever
// the number of tokens. Of most tokens the rest is drawn instead.
void draw(const RandomSubsets& request, std::int64_t row, std::uint64_t* words,
          std::int64_t num_words) noexcept {
    const bool drop = 2 * request.keep > request.tokens;
    const std::int64_t count = drop ? request.tokens - request.keep : request.keep;
    std::fill(words, words + num_words, 0);
    const std::uint64_t key = tree::fold(request.seed, static_cast<std::uint64_t>(row));
    std::uint64_t counter = 0;
    for (std::int64_t last = request.tokens - count; last < request.tokens; ++last) {
        auto token = below(static_cast<std::uint64_t>(last) + 1, key, counter);
        if (((words[token / 64] >> (token % 64)) & 1U) != 0) {
            token = static_cast<std::uint64_t>(last);
        }
        words[token / 64] |= std::uint64_t{1} << (token % 64);
    }
    std::int64_t* to = request.indices + row * request.keep;
    for (std::int64_t word = 0; word < num_words; ++word) {
        const std::int64_t left = request.tokens - 64 * word;
        const std::uint64_t valid = left < 64 ? (std::uint64_t{1} << left) - 1U : ~std::uint64_t{0};
        std::uint64_t bits = (drop ? ~words[word] : words[word]) & valid;
        for (; bits != 0; bits &= bits - 1U) {
            *to++ = 64 * word + __builtin_ctzll(bits);
        }
    }
}

}  // namespace

void random_subsets(const RandomSubsets& request) {
    constexpr std::int64_t serial_work = 8192;  // draws; waking threads takes longer
    const std::int64_t num_words = (request.tokens + 63) / 64;
    const double work = static_cast<double>(request.rows) * static_cast<double>(request.keep);
    const int threads = work < static_cast<double>(serial_work) ? 1 : request.threads;
    std::vector<std::uint64_t> words(static_cast<std::size_t>(num_words * threads));
    const std::int64_t each = 1 + serial_work / 2 / (request.keep + num_words + 1);
    parallel_for((request.rows + each - 1) / each, threads, [&](std::int64_t item, int worker) {
        const std::int64_t end = std::min(request.rows, (item + 1) * each);
        for (std::int64_t row = item * each; row < end; ++row) {
            draw(request, row, words.data() + worker * num_words, num_words);
        }
    });
}

}  // namespace ipse
