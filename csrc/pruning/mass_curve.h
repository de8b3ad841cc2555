// How many channels each of many masses keeps, from one look at the row.
//
// The masses are dealt out into their buckets once; a bucket is sorted when the first mass of
// the grid crosses in it.
#pragma once

#include <cstdint>
#include <cstring>

#include "pruning/masks.h"

namespace ipse::IPSE_ISA {

// Descending; in place, n log n whatever the order.
inline void heap_sort(std::int64_t* values, std::int64_t count) noexcept {
    const auto sink = [&](std::int64_t at, std::int64_t end) {
        const std::int64_t value = values[at];
        for (std::int64_t child = 2 * at + 1; child < end; child = 2 * at + 1) {
            child += child + 1 < end && values[child + 1] < values[child];
            if (value <= values[child]) {
                break;
            }
            values[at] = values[child];
            at = child;
        }
        values[at] = value;
    };
    for (std::int64_t at = count / 2; at-- > 0;) {
        sink(at, count);
    }
    for (std::int64_t end = count; end-- > 1;) {
        const std::int64_t least = values[0];
        values[0] = values[end];
        values[end] = least;
        sink(0, end);
    }
}

template <class T>
class Curve {
public:
    Curve(const ChannelRow<T>& row, std::int64_t total) noexcept
        : row_(row), total_(total), sums_(row.spare) {
        // Local names: a store of an integer could otherwise reach the row's members.
        const std::uint8_t* const buckets = row.buckets;
        const std::int64_t* const masses = row.masses;
        const std::int64_t channels = row.channels;
        std::int64_t weights[num_buckets] = {};
        std::int64_t sizes[num_buckets] = {};
        for (std::int64_t i = 0; i < channels; ++i) {
            ++sizes[buckets[i]];
            weights[buckets[i]] += masses[i];
        }
        for (int bucket = 0; bucket < num_buckets; ++bucket) {
            begin_[bucket + 1] = begin_[bucket] + sizes[bucket];
            before_[bucket + 1] = before_[bucket] + weights[bucket];
        }
        std::int64_t next[num_buckets];
        std::memcpy(next, begin_, sizeof next);
        std::int64_t* const dealt = sums_;
        for (std::int64_t i = 0; i < channels; ++i) {
            dealt[next[buckets[i]]++] = masses[i];
        }
    }

    std::int64_t count(double mass) noexcept {
        if (mass < 0.0) {
            return row_.channels;
        }
        if (mass == 1.0 || total_ == 0) {
            return count_above(mass_limit(mass_tolerance, total_));
        }
        const std::int64_t limit = mass_limit(mass + mass_tolerance, total_);
        const std::int64_t crossing = first_above(before_, 1, num_buckets + 1, limit) - 1;
        if (crossing == num_buckets) {
            return row_.channels;
        }
        accumulate(crossing);
        return first_above(sums_, begin_[crossing], begin_[crossing + 1], limit);
    }

private:
    std::int64_t count_above(std::int64_t least) const noexcept {
        std::int64_t count = 0;
        for (std::int64_t i = 0; i < row_.channels; ++i) {
            count += row_.masses[i] > least;
        }
        return count;
    }

    // Where the first of the ascending sums[low, high) above the limit stands; `high` if none.
    static std::int64_t first_above(const std::int64_t* sums, std::int64_t low, std::int64_t high,
                                    std::int64_t limit) noexcept {
        while (low < high) {
            const std::int64_t middle = low + (high - low) / 2;
            if (sums[middle] > limit) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        return low;
    }

    // Turns the masses of a bucket into sums from the row's largest on.
    void accumulate(std::int64_t bucket) noexcept {
        if (summed_[bucket]) {
            return;
        }
        summed_[bucket] = true;
        const std::int64_t begin = begin_[bucket];
        const std::int64_t size = begin_[bucket + 1] - begin;
        heap_sort(sums_ + begin, size);
        std::int64_t sum = before_[bucket];
        for (std::int64_t i = begin; i < begin + size; ++i) {
            sum += sums_[i];
            sums_[i] = sum;
        }
    }

    const ChannelRow<T>& row_;
    std::int64_t total_;
    std::int64_t* sums_;
    std::int64_t begin_[num_buckets + 1] = {};
    std::int64_t before_[num_buckets + 1] = {};
    bool summed_[num_buckets] = {};
};

template <class T>
std::int64_t mass_curve(const MassCurve& request) {
    const ResponseRows& rows = request.rows;
    return ResponseReader<T>(rows).run([&](ChannelRow<T>& row, std::int64_t index) {
        const std::int64_t total = row.weigh();
        row.sort_into_buckets();
        Curve<T> curve(row, total);
        std::int64_t* counts = request.counts + index * request.grid_size;
        for (std::int64_t g = 0; g < request.grid_size; ++g) {
            const std::int64_t count = curve.count(request.grid[g]);
            counts[g] = count < rows.keep_at_least ? rows.keep_at_least : count;
        }
    });
}

}  // namespace ipse::IPSE_ISA
