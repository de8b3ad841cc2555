// The masks of all rows: by mass, or a fixed number of channels.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/parallel.h"
#include "base/shares.h"
#include "pruning/masks_requests.h"
#include "pruning/select.h"

namespace ipse::IPSE_ISA {

// Reads row after row and hands each to `decide(row, index)`; memory for one row a
// thread. Returns the first row that has a response below 0 or not finite, -1 if none.
template <class T>
class ResponseReader {
public:
    using Row = ChannelRow<T>;
    using Bits = typename Row::Bits;

    explicit ResponseReader(const ResponseRows& rows)
        : rows_(rows),
          // An element of a row costs some eight multiplications.
          threads_(useful_threads(rows.response.rows, rows.response.cols, 8, rows.threads)),
          bits_(threads_, rows.response.cols),
          masses_(threads_, rows.response.cols),
          buckets_(threads_, rows.response.cols + 8),
          spare_(threads_, rows.response.cols),
          wrong_(threads_, 1) {}

    template <class Decide>
    std::int64_t run(const Decide& decide) noexcept {
        const StridedMatrix& response = rows_.response;
        for (int worker = 0; worker < threads_; ++worker) {
            *wrong_[worker] = response.rows;
        }
        // Long enough not to be a matter of handing out, short enough for two threads to share.
        const std::int64_t each = 1 + 4096 / response.cols;
        parallel_for((response.rows + each - 1) / each, threads_,
                     [&](std::int64_t item, int worker) {
                         const std::int64_t end = (item + 1) * each;
                         for (std::int64_t i = item * each; i < end && i < response.rows; ++i) {
                             one(i, worker, decide);
                         }
                     });
        std::int64_t first = response.rows;
        for (int worker = 0; worker < threads_; ++worker) {
            first = *wrong_[worker] < first ? *wrong_[worker] : first;
        }
        return first < response.rows ? first : -1;
    }

private:
    template <class Decide>
    void one(std::int64_t index, int worker, const Decide& decide) noexcept {
        Row row;
        row.channels = rows_.response.cols;
        row.bits = bits_[worker];
        row.masses = masses_[worker];
        row.buckets = buckets_[worker];
        row.spare = spare_[worker];
        const bool right = visit_dtype(rows_.response.dtype, [&](auto storage) {
            using S = decltype(storage);
            if constexpr ((sizeof(S) == 8) == (sizeof(T) == 8)) {
                return row.template read_from<S>(rows_.response, index);
            } else {
                return false;
            }
        });
        if (right) {
            decide(row, index);
        } else if (index < *wrong_[worker]) {
            *wrong_[worker] = index;
        }
    }

    const ResponseRows& rows_;
    int threads_;
    Shares<Bits> bits_;
    Shares<std::int64_t> masses_;
    Shares<std::uint8_t> buckets_;
    Shares<std::int64_t> spare_;
    Shares<std::int64_t> wrong_;
};

// Eight flags at a time: each is a byte of 0 or 1.
inline std::int64_t count_kept(const bool* mask, std::int64_t channels) noexcept {
    std::int64_t count = 0;
    std::int64_t i = 0;
    for (; i + 8 <= channels; i += 8) {
        std::uint64_t eight = 0;
        std::memcpy(&eight, mask + i, sizeof eight);
        count += static_cast<std::int64_t>((eight * 0x0101010101010101U) >> 56);
    }
    for (; i < channels; ++i) {
        count += mask[i];
    }
    return count;
}

// The largest mass sum that a share of the total allows: sums are whole numbers.
inline std::int64_t mass_limit(double share, std::int64_t total) noexcept {
    return static_cast<std::int64_t>(share * static_cast<double>(total));
}

// Writes the number kept and tops a row up to the `least` largest.
template <class T>
void finish_row(const ChannelRow<T>& row, std::int64_t least, bool* mask,
                std::int64_t* count) noexcept {
    *count = count_kept(mask, row.channels);
    if (*count < least) {
        Selector<T, EachOne>(row, EachOne{}, least, mask).run();
        *count = least;
    }
}

template <class T>
std::int64_t mass_topk_mask(const MassMask& request) {
    return ResponseReader<T>(request.rows).run([&](ChannelRow<T>& row, std::int64_t index) {
        bool* mask = request.result.mask + index * row.channels;
        const std::int64_t total = row.weigh();
        row.sort_into_buckets();
        if (request.mass < 0.0) {
            std::memset(mask, 1, static_cast<std::size_t>(row.channels));
        } else if (request.mass == 1.0 || total == 0) {
            const std::int64_t above = mass_limit(mass_tolerance, total);
            const std::int64_t* const masses = row.masses;
            for (std::int64_t i = 0, end = row.channels; i < end; ++i) {
                mask[i] = masses[i] > above;
            }
        } else {
            const std::int64_t limit = mass_limit(request.mass + mass_tolerance, total);
            Selector<T, const std::int64_t*>(row, row.masses, limit, mask).run();
        }
        finish_row(row, request.rows.keep_at_least, mask, request.result.counts + index);
    });
}

template <class T>
std::int64_t uniform_topk_mask(const UniformMask& request) {
    return ResponseReader<T>(request.rows).run([&](ChannelRow<T>& row, std::int64_t index) {
        bool* mask = request.result.mask + index * row.channels;
        row.sort_into_buckets();
        Selector<T, EachOne>(row, EachOne{}, request.most, mask).run();
        const auto* const bits = row.bits;
        bool* __restrict const kept = mask;
        for (std::int64_t i = 0, end = row.channels; i < end; ++i) {
            const bool alive = static_cast<double>(bit_cast<T>(bits[i])) > mass_tolerance;
            kept[i] = (static_cast<int>(kept[i]) & static_cast<int>(alive)) != 0;
        }
        finish_row(row, request.rows.keep_at_least, mask, request.result.counts + index);
    });
}

}  // namespace ipse::IPSE_ISA
