// Normalise, activate, gate, and tell each channel's largest magnitude and pooled value, in one
// pass over memory.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>

#include "base/parallel.h"
#include "pruning/activation.h"
#include "pruning/plane_blocks.h"

namespace ipse::IPSE_ISA {

template <class T, class S, Activation activation>
class ResponseForward {
    using Bits = typename Simd<T>::Bits;
    using Integer = typename Simd<T>::Integer;
    using Blocks = PlaneBlocks<T, S>;
    static constexpr int lanes = Simd<T>::lanes;

public:
    explicit ResponseForward(const ChannelResponse& request)
        : request_(request),
          planes_(request.planes),
          blocks_(planes_),
          threads_(useful_threads(planes_.x.rows, planes_.x.cols, 2, planes_.threads)),
          room_(threads_, 2 * Blocks::block) {}

    void run() noexcept {
        const std::int64_t groups = planes_.x.rows * blocks_.groups_of_a_sample();
        const std::int64_t each = groups_of_an_item(planes_.positions);
        parallel_for((groups + each - 1) / each, threads_, [&](std::int64_t item, int worker) {
            const std::int64_t end = (item + 1) * each < groups ? (item + 1) * each : groups;
            for (std::int64_t index = item * each; index < end; ++index) {
                one(blocks_.group(index), room_[worker]);
            }
        });
    }

    // So many that an item takes some ten microseconds.
    static std::int64_t groups_of_an_item(std::int64_t positions) noexcept {
        return 1 + 16384 / positions;
    }

private:
    struct State {
        Bits strongest{};
        Vector<T> highest = broadcast(-std::numeric_limits<T>::infinity());
        double sum = 0.0;
    };

    void one(const Group& group, T* room) noexcept {
        State states[Blocks::largest_group];
        const bool* mask = planes_.mask + group.sample * planes_.channels;
        blocks_.for_each_block([&](std::int64_t position, std::int64_t size) {
            for (std::int64_t i = 0; i < group.count; ++i) {
                const std::int64_t channel = group.first + i;
                const T* in =
                    blocks_.read_block(planes_.x, group.sample, channel, position, size, room);
                T* out = blocks_.room_for(request_.out, group.sample, channel, position,
                                          room + Blocks::block);
                if (mask[channel]) {
                    step<true>(in, out, size, channel, states[i]);
                } else {
                    step<false>(in, out, size, channel, states[i]);
                }
                blocks_.write_block(out, request_.out, group.sample, channel, position, size);
            }
        });
        for (std::int64_t i = 0; i < group.count; ++i) {
            finish(states[i], group.sample * planes_.channels + group.first + i,
                   mask[group.first + i]);
        }
    }

    template <bool kept>
    void step(const T* in, T* out, std::int64_t size, std::int64_t channel, State& state) noexcept {
        const Vector<T> scale = broadcast(static_cast<const T*>(planes_.scale.data)[channel]);
        const Vector<T> shift = broadcast(static_cast<const T*>(planes_.shift.data)[channel]);
        Bits strongest = state.strongest;
        Vector<T> highest = state.highest;
        Vector<T> sum{};
        std::int64_t i = 0;
        for (; i + lanes <= size; i += lanes) {
            const Vector<T> value = activate<T, activation>(load(in + i) * scale + shift);
            const Bits strength = magnitude<T>(value);
            strongest = strength > strongest ? strength : strongest;
            if constexpr (kept) {
                highest = larger<T>(highest, value);
                sum += value;
                store(out + i, value);
            }
        }
        if (i < size) {
            const Bits valid = lanes_before<T>(size - i);
            const Vector<T> all =
                activate<T, activation>(load_some(in + i, size - i) * scale + shift);
            const Bits strength = magnitude<T>(all) & valid;
            strongest = strength > strongest ? strength : strongest;
            if constexpr (kept) {
                highest = larger<T>(highest, valid ? all : highest);
                sum += valid ? all : Vector<T>{};
                store_some(out + i, all, size - i);
            }
        }
        if constexpr (!kept) {
            std::memset(out, 0, static_cast<std::size_t>(size) * sizeof(T));
        }
        state.strongest = strongest;
        state.highest = highest;
        state.sum += static_cast<double>(sum_lanes<T>(sum));
    }

    void finish(const State& state, std::int64_t at, bool kept) noexcept {
        Integer strongest = 0;
        for (int lane = 0; lane < lanes; ++lane) {
            strongest = state.strongest[lane] > strongest ? state.strongest[lane] : strongest;
        }
        const T response = bit_cast<T>(strongest);
        T pooled{0};
        if (kept) {
            pooled = planes_.pool == Pool::avg
                         ? static_cast<T>(state.sum / static_cast<double>(planes_.positions))
                         : largest_lane<T>(state.highest);
            pooled = response == response ? pooled : response;  // a comparison forgets a NaN
        }
        static_cast<T*>(request_.response.data)[at] = response;
        static_cast<T*>(request_.pooled.data)[at] = pooled;
    }

    const ChannelResponse& request_;
    const ChannelPlanes& planes_;
    Blocks blocks_;
    int threads_;
    Shares<T> room_;
};

}  // namespace ipse::IPSE_ISA
