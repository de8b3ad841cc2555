// Channels of a tensor in blocks that fit the innermost cache, in either memory order.
//
// A float32 or float64 plane whose positions are adjacent is worked on where it lies. Others go
// through blocks in the compute type. With channels last, the channels of one cache line make a
// group: a block of each is read from the same lines.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "base/half.h"
#include "base/shares.h"
#include "base/simd.h"
#include "pruning/response_requests.h"

namespace ipse::IPSE_ISA {

// Some adjacent channels of one sample.
struct Group {
    std::int64_t sample = 0;
    std::int64_t first = 0;
    std::int64_t count = 0;
};

template <class T, class S>
class PlaneBlocks {
public:
    static constexpr std::int64_t block = 256;  // positions
    static constexpr std::int64_t largest_group = 64 / static_cast<std::int64_t>(sizeof(S));

    explicit PlaneBlocks(const ChannelPlanes& planes) noexcept
        : channels_(planes.channels),
          positions_(planes.positions),
          channel_stride_(planes.channels_last ? 1 : planes.positions),
          position_stride_(planes.channels_last ? planes.channels : 1),
          group_(planes.channels_last ? largest_group : 1),
          groups_((channels_ + group_ - 1) / group_),
          in_place_(std::is_same_v<T, S> && position_stride_ == 1) {}

    std::int64_t groups_of_a_sample() const noexcept { return groups_; }
    bool in_place() const noexcept { return in_place_; }

    Group group(std::int64_t index) const noexcept {
        Group group;
        group.sample = index / groups_;
        group.first = index % groups_ * group_;
        group.count = channels_ - group.first < group_ ? channels_ - group.first : group_;
        return group;
    }

    // `size` values from `position` on, in place or copied into `room`.
    const T* read_block(const StridedMatrix& from, std::int64_t sample, std::int64_t channel,
                        std::int64_t position, std::int64_t size, T* room) const noexcept {
        const S* values = at(from, sample, channel, position);
        if constexpr (std::is_same_v<T, S>) {
            if (in_place_) {
                return values;
            }
        }
        if (position_stride_ == 1) {
            for (std::int64_t i = 0; i < size; ++i) {
                room[i] = read<T>(values[i]);
            }
        } else {
            for (std::int64_t i = 0; i < size; ++i) {
                room[i] = read<T>(values[i * position_stride_]);
            }
        }
        return room;
    }

    // Where a block of results is to be written before write_block.
    T* room_for(const StridedMatrix& to, std::int64_t sample, std::int64_t channel,
                std::int64_t position, T* room) const noexcept {
        if constexpr (std::is_same_v<T, S>) {
            if (in_place_) {
                return at(to, sample, channel, position);
            }
        }
        return room;
    }

    void write_block(const T* values, const StridedMatrix& to, std::int64_t sample,
                     std::int64_t channel, std::int64_t position,
                     std::int64_t size) const noexcept {
        if (in_place_) {
            return;
        }
        S* out = at(to, sample, channel, position);
        if (position_stride_ == 1) {
            for (std::int64_t i = 0; i < size; ++i) {
                out[i] = write<S>(values[i]);
            }
        } else {
            for (std::int64_t i = 0; i < size; ++i) {
                out[i * position_stride_] = write<S>(values[i]);
            }
        }
    }

    S* at(const StridedMatrix& matrix, std::int64_t sample, std::int64_t channel,
          std::int64_t position) const noexcept {
        return static_cast<S*>(matrix.data) + sample * channels_ * positions_ +
               channel * channel_stride_ + position * position_stride_;
    }

    // Calls visit(position, size) for the blocks of a plane.
    template <class Visit>
    void for_each_block(const Visit& visit) const noexcept {
        for (std::int64_t begin = 0; begin < positions_; begin += block) {
            visit(begin, positions_ - begin < block ? positions_ - begin : block);
        }
    }

private:
    std::int64_t channels_;
    std::int64_t positions_;
    std::int64_t channel_stride_;
    std::int64_t position_stride_;
    std::int64_t group_;
    std::int64_t groups_;
    bool in_place_;
};

// The first `size` lanes of what lies at `from`, zeros behind them.
template <class T>
inline Vector<T> load_some(const T* from, std::int64_t size) noexcept {
    T lanes[Simd<T>::lanes] = {};
    std::memcpy(lanes, from, static_cast<std::size_t>(size) * sizeof(T));
    return load(lanes);
}

template <class T>
inline void store_some(T* to, Vector<T> value, std::int64_t size) noexcept {
    T lanes[Simd<T>::lanes];
    store(lanes, value);
    std::memcpy(to, lanes, static_cast<std::size_t>(size) * sizeof(T));
}

// Ones in the first `size` lanes' bits, zeros behind them.
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
    using Integer = typename Simd<T>::Integer;
    using Bits = typename Simd<T>::Bits;
    constexpr Integer sign = Integer{1} << (8 * sizeof(T) - 1);
    return reinterpret_cast<Bits>(value) & ~(sign - Bits{});
}

}  // namespace ipse::IPSE_ISA
