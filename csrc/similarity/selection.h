// The k best of a stream of values, kept for one row.
//
// Values arrive in ascending column order. What cannot be among the k best is refused by
// comparing whole vectors with a limit; the rest is appended, and when the buffer is full it
// is cut back to exactly k. Equal values are ordered by column, so the result is unique: it
// does not depend on how the columns were cut. NaN is worse than every number.
#pragma once

#include <cstdint>
#include <type_traits>

#include "base/half.h"
#include "base/simd_mask.h"

namespace ipse::IPSE_ISA {

// Values as integers in the same order: NaN lowest, -0 equal to +0.
template <class T>
using Key = typename Simd<T>::Integer;

template <class T>
constexpr Key<T> lowest_key = Key<T>{1} << (8 * sizeof(T) - 1);

// Its own inverse on the bits of a number: negative ones have their magnitude turned round.
template <class T>
inline Key<T> turn(Key<T> bits) noexcept {
    constexpr Key<T> magnitude = ~lowest_key<T>;
    return bits < 0 ? bits ^ magnitude : bits;
}

template <class T>
inline Key<T> key_of(T value) noexcept {
    return value == value ? turn<T>(bit_cast<Key<T>>(value + T{0})) : lowest_key<T>;
}

template <class T>
inline T value_of(Key<T> key) noexcept {
    return bit_cast<T>(turn<T>(key));  // the lowest key turns into a NaN again
}

// A buffer of one row. `keys` and `columns` have room for `capacity` entries each.
template <class T>
struct Selection {
    Key<T>* keys = nullptr;
    std::int32_t* columns = nullptr;
    std::int64_t count = 0;
    T limit = value_of<T>(lowest_key<T>);  // values not above it are refused; NaN refuses nothing

    void append(Key<T> key, std::int32_t column) noexcept {
        keys[count] = key;
        columns[count] = column;
        ++count;
    }

    // Offers values[0, size) for columns first, first + 1, ...; there must be room for all.
    // `values` is readable to the end of the last whole vector.
    template <class Allows>
    void offer(const T* values, std::int64_t size, std::int64_t first,
               const Allows& allows) noexcept {
        constexpr int lanes = Simd<T>::lanes;
        const Vector<T> bound = broadcast(limit);
        for (std::int64_t j = 0; j < size; j += lanes) {
            std::uint32_t mask = mask_not_below(load(values + j), bound);
            if (size - j < lanes) {
                mask &= (1U << (size - j)) - 1U;
            }
            for (; mask != 0; mask &= mask - 1U) {
                const std::int64_t at = j + __builtin_ctz(mask);
                if (allows(first + at)) {
                    append(key_of(values[at]), static_cast<std::int32_t>(first + at));
                }
            }
        }
    }

    // Keeps the k best, in column order, and raises the limit to the worst of them.
    void cut_back(std::int64_t k) noexcept {
        if (count <= k) {
            return;
        }
        const Key<T> least = find_cut(k);
        std::int64_t ties = k - count_from(least + 1);
        std::int64_t kept = 0;
        for (std::int64_t i = 0; i < count; ++i) {
            const Key<T> key = keys[i];
            const bool tie = key == least;
            const bool keep = key > least || (tie && ties > 0);
            ties -= tie;
            keys[kept] = key;
            columns[kept] = columns[i];
            kept += keep;
        }
        count = kept;
        limit = value_of<T>(least);
    }

    // Best first; `spare` holds as much as this buffer. Stable, so equal keys stay in column
    // order.
    void sort(Key<T>* spare_keys, std::int32_t* spare_columns) noexcept {
        for (std::int64_t run = 1; run < count; run *= 2) {
            for (std::int64_t begin = 0; begin < count; begin += 2 * run) {
                merge(begin, run, spare_keys, spare_columns);
            }
            for (std::int64_t i = 0; i < count; ++i) {
                keys[i] = spare_keys[i];
                columns[i] = spare_columns[i];
            }
        }
    }

private:
    // How many keys are at least `key`.
    std::int64_t count_from(Key<T> key) const noexcept {
        Key<T> total = 0;
        for (std::int64_t i = 0; i < count; ++i) {
            total += keys[i] >= key;
        }
        return total;
    }

    // A key that at least k entries reach and fewer than k exceed, or exactly k reach:
    // bisection on the integers, each step one pass of vector comparisons.
    Key<T> find_cut(std::int64_t k) const noexcept {
        using Unsigned = std::make_unsigned_t<Key<T>>;
        Key<T> low = keys[0];
        Key<T> high = keys[0];
        for (std::int64_t i = 1; i < count; ++i) {
            low = keys[i] < low ? keys[i] : low;
            high = keys[i] > high ? keys[i] : high;
        }
        while (low < high) {
            const auto width = static_cast<Unsigned>(high) - static_cast<Unsigned>(low);
            const auto middle =
                static_cast<Key<T>>(static_cast<Unsigned>(low) + width / 2 + width % 2);
            const std::int64_t reached = count_from(middle);
            if (reached >= k) {
                low = middle;
                if (reached == k) {
                    break;
                }
            } else {
                high = middle - 1;
            }
        }
        return low;
    }

    void merge(std::int64_t begin, std::int64_t run, Key<T>* to_keys,
               std::int32_t* to_columns) const noexcept {
        const std::int64_t middle = begin + run < count ? begin + run : count;
        const std::int64_t end = middle + run < count ? middle + run : count;
        std::int64_t left = begin;
        std::int64_t right = middle;
        for (std::int64_t to = begin; to < end; ++to) {
            const bool from_left = right == end || (left < middle && keys[left] >= keys[right]);
            const std::int64_t from = from_left ? left : right;
            to_keys[to] = keys[from];
            to_columns[to] = columns[from];
            left += from_left;
            right += !from_left;
        }
    }
};

}  // namespace ipse::IPSE_ISA
