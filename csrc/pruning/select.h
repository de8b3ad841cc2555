// The largest responses of a row while their weights stay within a limit, without a sort.
//
// Sums of weights per bucket tell which bucket crosses the limit; only its channels are looked
// at again, in buckets of their own range, until a handful is left to be sorted. Equal
// responses count in the order of their channels.
#pragma once

#include <cstdint>
#include <cstring>

#include "pruning/channel_row.h"

namespace ipse::IPSE_ISA {

// Every channel counts the same: a limit of k keeps the k largest.
struct EachOne {
    std::int64_t operator[](std::int64_t) const noexcept { return 1; }
};

template <class T, class Weights>
class Selector {
public:
    using Row = ChannelRow<T>;
    using Bits = typename Row::Bits;

    Selector(const Row& row, Weights weights, std::int64_t limit, bool* mask) noexcept
        : row_(row), weights_(weights), limit_(limit), candidates_(row.spare), mask_(mask) {}

    // Fills the mask; the row's buckets must be up to date.
    void run() noexcept {
        // Copies: stores through the mask could otherwise reach the members.
        const std::uint8_t* const buckets = row_.buckets;
        const std::int64_t channels = row_.channels;
        const Weights weights = weights_;
        const int crossing = find_crossing([&](auto add) {
            for (std::int64_t i = 0; i < channels; ++i) {
                add(buckets[i], weights[i], i);
            }
        });
        bool* __restrict const mask = mask_;
        for (std::int64_t i = 0; i < channels; ++i) {
            mask[i] = static_cast<int>(buckets[i]) < crossing;
        }
        if (crossing < num_buckets) {
            collect(static_cast<std::uint8_t>(crossing));
            refine();
        }
    }

private:
    static constexpr std::int64_t handful = 24;

    // The bucket in which the sum passes the limit, num_buckets where none does; sum_ becomes
    // the weight of the buckets before it. Two sets of sums: a bucket that is added to twice in
    // a row would wait for itself.
    template <class ForEach>
    int find_crossing(const ForEach& for_each) noexcept {
        std::int64_t sums[2][num_buckets];
        std::memset(sums, 0, sizeof sums);
        for_each([&](std::uint8_t bucket, std::int64_t weight, std::int64_t i) {
            sums[i & 1][bucket] += weight;
        });
        for (int bucket = 0; bucket < num_buckets; ++bucket) {
            const std::int64_t with = sum_ + sums[0][bucket] + sums[1][bucket];
            if (with > limit_) {
                return bucket;
            }
            sum_ = with;
        }
        return num_buckets;
    }

    // The channels of one bucket, eight looked at together.
    void collect(std::uint8_t bucket) noexcept {
        constexpr std::uint64_t ones = 0x0101010101010101U;
        const std::uint64_t pattern = ones * bucket;
        const std::uint8_t* const buckets = row_.buckets;
        const std::int64_t channels = row_.channels;
        std::int64_t* const to = candidates_;
        std::int64_t count = 0;
        for (std::int64_t i = 0; i < channels; i += 8) {
            std::uint64_t eight = 0;
            std::memcpy(&eight, buckets + i, sizeof eight);
            eight ^= pattern;
            if (((eight - ones) & ~eight & (ones << 7)) == 0) {
                continue;  // no byte is zero
            }
            const std::int64_t end = i + 8 < channels ? i + 8 : channels;
            for (std::int64_t j = i; j < end; ++j) {
                to[count] = j;
                count += buckets[j] == bucket;
            }
        }
        count_ = count;
    }

    // Decides over the candidates, of which some but not all are kept.
    void refine() noexcept {
        while (count_ > handful) {
            const Bits* const values = row_.bits;
            Bits high = values[candidates_[0]];
            Bits low = high;
            for (std::int64_t i = 1; i < count_; ++i) {
                const Bits bits = values[candidates_[i]];
                high = bits > high ? bits : high;
                low = bits < low ? bits : low;
            }
            if (low == high) {
                return keep_in_order();
            }
            divide(high, low);
        }
        sort();
        keep_in_order();
    }

    // Keeps the candidates before the crossing bucket of their own range and forgets those
    // behind it.
    void divide(Bits high, Bits low) noexcept {
        int shift = 0;
        while (shift < Row::octave_shift && (high - low) >> shift >= num_buckets) {
            ++shift;
        }
        const Bits* const values = row_.bits;
        const Weights weights = weights_;
        std::int64_t* const candidates = candidates_;
        const auto bucket_of = [&](std::int64_t channel) {
            const Bits below = (high - values[channel]) >> shift;
            return static_cast<std::uint8_t>(below < num_buckets ? below : num_buckets - 1);
        };
        const int crossing = find_crossing([&](auto add) {
            for (std::int64_t i = 0; i < count_; ++i) {
                add(bucket_of(candidates[i]), weights[candidates[i]], i);
            }
        });
        std::int64_t left = 0;
        bool* __restrict const mask = mask_;
        for (std::int64_t i = 0, end = count_; i < end; ++i) {
            const std::int64_t channel = candidates[i];
            const int bucket = bucket_of(channel);
            mask[channel] = bucket < crossing;
            candidates[left] = channel;
            left += bucket == crossing;
        }
        count_ = left;
    }

    // Descending; insertion keeps equal responses in the order of their channels.
    void sort() noexcept {
        for (std::int64_t i = 1; i < count_; ++i) {
            const std::int64_t channel = candidates_[i];
            std::int64_t to = i;
            for (; to > 0 && row_.bits[candidates_[to - 1]] < row_.bits[channel]; --to) {
                candidates_[to] = candidates_[to - 1];
            }
            candidates_[to] = channel;
        }
    }

    void keep_in_order() noexcept {
        for (std::int64_t i = 0; i < count_; ++i) {
            sum_ += weights_[candidates_[i]];
            if (sum_ > limit_) {
                return;
            }
            mask_[candidates_[i]] = true;
        }
    }

    const Row& row_;
    Weights weights_;
    std::int64_t limit_;
    std::int64_t* candidates_;
    bool* mask_;
    std::int64_t count_ = 0;
    std::int64_t sum_ = 0;
};

}  // namespace ipse::IPSE_ISA
