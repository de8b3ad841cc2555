// Vectors of values in any storage type, whole or in part, and the work on channels in either
// memory order cut into items.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "base/half.h"
#include "base/simd.h"
#include "pruning/half_vectors.h"
#include "pruning/response_requests.h"

namespace ipse::IPSE_ISA {

// Positions that are summed in the compute type before the sum goes on in double.
constexpr std::int64_t run_length = 256;

template <class T, class S>
inline Vector<T> load_values(const S* from) noexcept {
    if constexpr (std::is_same_v<T, S>) {
        return load(from);
    } else {
        return load_half(from);
    }
}

template <class T, class S>
inline void store_values(S* to, Vector<T> value) noexcept {
    if constexpr (std::is_same_v<T, S>) {
        store(to, value);
    } else {
        store_half(to, value);
    }
}

// The first `size` values at `from`, zeros behind them.
template <class T, class S>
inline Vector<T> load_some(const S* from, std::int64_t size) noexcept {
    S some[Simd<T>::lanes] = {};
    std::memcpy(some, from, static_cast<std::size_t>(size) * sizeof(S));
    return load_values<T, S>(some);
}

template <class T, class S>
inline void store_some(S* to, Vector<T> value, std::int64_t size) noexcept {
    S some[Simd<T>::lanes];
    store_values<T, S>(some, value);
    std::memcpy(to, some, static_cast<std::size_t>(size) * sizeof(S));
}

// Ones in the bits of the first `size` lanes, zeros behind them.
template <class T>
inline typename Simd<T>::Bits lanes_before(std::int64_t size) noexcept {
    using Integer = typename Simd<T>::Integer;
    Integer lanes[Simd<T>::lanes];
    for (int lane = 0; lane < Simd<T>::lanes; ++lane) {
        lanes[lane] = lane < size ? Integer{-1} : Integer{0};
    }
    typename Simd<T>::Bits bits;
    std::memcpy(&bits, lanes, sizeof bits);
    return bits;
}

// |value| as an integer in the same order; NaN above infinity.
template <class T>
inline typename Simd<T>::Bits magnitude(Vector<T> value) noexcept {
    using Bits = typename Simd<T>::Bits;
    using Integer = typename Simd<T>::Integer;
    constexpr Integer sign = Integer{1} << (8 * sizeof(T) - 1);
    return reinterpret_cast<Bits>(value) & ~(sign - Bits{});
}

// Where the value of a channel at a position lies.
template <class S>
inline S* value_at(const StridedMatrix& matrix, const ChannelPlanes& planes, std::int64_t sample,
                   std::int64_t channel, std::int64_t position) noexcept {
    const std::int64_t at = planes.channels_last ? position * planes.channels + channel
                                                 : channel * planes.positions + position;
    return static_cast<S*>(matrix.data) + sample * planes.channels * planes.positions + at;
}

// Adjacent channels of one sample that are worked on together. In C order that is one channel.
// With channels last it is four vectors of them, as long as there are so many, then one vector,
// then what is left.
struct ChannelGroup {
    std::int64_t sample = 0;
    std::int64_t first = 0;
    std::int64_t count = 0;
};

template <class T>
class ChannelGroups {
public:
    static constexpr std::int64_t lanes = Simd<T>::lanes;
    static constexpr int most_vectors = 4;
    static constexpr std::int64_t most = most_vectors * lanes;

    explicit ChannelGroups(const ChannelPlanes& planes) noexcept
        : planes_(planes),
          wide_(planes.channels / most),
          single_(planes.channels % most / lanes),
          each_(planes.channels_last ? wide_ + single_ + (planes.channels % lanes > 0)
                                     : planes.channels) {}

    // Groups are handed out so many at once that they take some ten microseconds.
    std::int64_t items() const noexcept {
        return (planes_.x.rows * each_ + together() - 1) / together();
    }

    template <class Visit>
    void for_each(std::int64_t item, const Visit& visit) const noexcept {
        const std::int64_t end = (item + 1) * together();
        for (std::int64_t i = item * together(); i < end && i < planes_.x.rows * each_; ++i) {
            visit(group(i));
        }
    }

private:
    std::int64_t together() const noexcept {
        const std::int64_t values = planes_.positions * (planes_.channels_last ? most : 1);
        return 1 + 16384 / values;
    }

    ChannelGroup group(std::int64_t index) const noexcept {
        const std::int64_t sample = index / each_;
        const std::int64_t place = index % each_;
        if (!planes_.channels_last) {
            return {sample, place, 1};
        }
        if (place < wide_) {
            return {sample, place * most, most};
        }
        const std::int64_t first = wide_ * most + (place - wide_) * lanes;
        const std::int64_t left = planes_.channels - first;
        return {sample, first, left < lanes ? left : lanes};
    }

    const ChannelPlanes& planes_;
    std::int64_t wide_;
    std::int64_t single_;
    std::int64_t each_;
};

}  // namespace ipse::IPSE_ISA
