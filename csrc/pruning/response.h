// Normalise, activate, gate, and tell each channel's largest magnitude and pooled value, in one
// pass over memory.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>

#include "base/parallel.h"
#include "base/shares.h"
#include "pruning/activation.h"
#include "pruning/plane_vectors.h"

namespace ipse::IPSE_ISA {

template <class T, class S, Activation activation>
class ResponseForward {
    using Bits = typename Simd<T>::Bits;
    using Integer = typename Simd<T>::Integer;
    static constexpr int lanes = Simd<T>::lanes;

public:
    explicit ResponseForward(const ChannelResponse& request)
        : request_(request),
          planes_(request.planes),
          groups_(planes_),
          threads_(useful_threads(planes_.x.rows, planes_.x.cols, 2, planes_.threads)) {}

    void run() noexcept {
        parallel_for(groups_.items(), threads_, [&](std::int64_t item, int) {
            groups_.for_each(item, [&](const ChannelGroup& group) { one(group); });
        });
    }

private:
    // What is known of a vector of positions, or of channels.
    struct State {
        Bits strongest{};
        Vector<T> highest = broadcast(-std::numeric_limits<T>::infinity());
        Vector<T> sum{};

        void see(Vector<T> value, Vector<T> gated) noexcept {
            const Bits strength = magnitude<T>(value);
            strongest = strength > strongest ? strength : strongest;
            highest = larger<T>(highest, gated);
            sum += gated;
        }
    };

    void one(const ChannelGroup& group) noexcept {
        if (!planes_.channels_last) {
            plane(group.sample, group.first);
        } else if (group.count == ChannelGroups<T>::most) {
            columns<ChannelGroups<T>::most_vectors, true>(group);
        } else if (group.count == lanes) {
            columns<1, true>(group);
        } else {
            columns<1, false>(group);
        }
    }

    // One channel whose positions are adjacent.
    void plane(std::int64_t sample, std::int64_t channel) noexcept {
        const bool kept = planes_.mask[sample * planes_.channels + channel];
        const Vector<T> scale = broadcast(values(planes_.scale)[channel]);
        const Vector<T> shift = broadcast(values(planes_.shift)[channel]);
        const S* x = value_at<S>(planes_.x, planes_, sample, channel, 0);
        S* out = value_at<S>(request_.out, planes_, sample, channel, 0);
        const std::int64_t size = planes_.positions;
        State state;
        double sum = 0.0;
        std::int64_t i = 0;
        while (i + lanes <= size) {
            const std::int64_t end = i + run_length < size ? i + run_length : size;
            for (; i + lanes <= end; i += lanes) {
                const Vector<T> value =
                    activate<T, activation>(load_values<T>(x + i) * scale + shift);
                state.see(value, value);
                if (kept) {
                    store_values<T>(out + i, value);
                }
            }
            sum += static_cast<double>(sum_lanes<T>(state.sum));
            state.sum = Vector<T>{};
        }
        if (i < size) {
            const Bits valid = lanes_before<T>(size - i);
            const Vector<T> all =
                activate<T, activation>(load_some<T>(x + i, size - i) * scale + shift);
            const Vector<T> highest = state.highest;
            state.see(valid ? all : Vector<T>{}, valid ? all : Vector<T>{});
            // The zeros behind the last position are no values.
            state.highest = larger<T>(highest, valid ? all : highest);
            sum += static_cast<double>(sum_lanes<T>(state.sum));
            if (kept) {
                store_some<T>(out + i, all, size - i);
            }
        }
        if (!kept) {
            std::memset(out, 0, static_cast<std::size_t>(size) * sizeof(S));
        }
        Integer strongest = 0;
        for (int lane = 0; lane < lanes; ++lane) {
            strongest = state.strongest[lane] > strongest ? state.strongest[lane] : strongest;
        }
        finish(sample, channel, bit_cast<T>(strongest), largest_lane<T>(state.highest), sum);
    }

    // Vectors of channels that are adjacent at every position; one in part unless `whole`.
    template <int vectors, bool whole>
    void columns(const ChannelGroup& group) noexcept {
        const std::int64_t count = group.count;
        Vector<T> scale[vectors];
        Vector<T> shift[vectors];
        Bits kept[vectors];
        State states[vectors];
        double sums[vectors * lanes] = {};
        const bool* mask = planes_.mask + group.sample * planes_.channels + group.first;
        for (int v = 0; v < vectors; ++v) {
            scale[v] = some<whole>(values(planes_.scale) + group.first + v * lanes, count);
            shift[v] = some<whole>(values(planes_.shift) + group.first + v * lanes, count);
            kept[v] = mask_bits(mask + v * lanes, whole ? lanes : count);
        }
        const S* x = value_at<S>(planes_.x, planes_, group.sample, group.first, 0);
        S* out = value_at<S>(request_.out, planes_, group.sample, group.first, 0);
        for (std::int64_t p = 0; p < planes_.positions;) {
            const std::int64_t end =
                p + run_length < planes_.positions ? p + run_length : planes_.positions;
            for (; p < end; ++p, x += planes_.channels, out += planes_.channels) {
#pragma GCC unroll 4
                for (int v = 0; v < vectors; ++v) {
                    const Vector<T> value = activate<T, activation>(
                        some<whole>(x + v * lanes, count) * scale[v] + shift[v]);
                    const Vector<T> gated = kept[v] ? value : Vector<T>{};
                    states[v].see(value, gated);
                    if constexpr (whole) {
                        store_values<T>(out + v * lanes, gated);
                    } else {
                        store_some<T>(out, gated, count);
                    }
                }
            }
            for (int i = 0; i < vectors * lanes; ++i) {
                sums[i] += static_cast<double>(states[i / lanes].sum[i % lanes]);
            }
            for (State& state : states) {
                state.sum = Vector<T>{};
            }
        }
        for (int i = 0; i < count; ++i) {
            const State& state = states[i / lanes];
            finish(group.sample, group.first + i, bit_cast<T>(state.strongest[i % lanes]),
                   state.highest[i % lanes], sums[i]);
        }
    }

    template <bool whole, class V>
    static Vector<T> some(const V* from, std::int64_t count) noexcept {
        if constexpr (whole) {
            return load_values<T>(from);
        } else {
            return load_some<T>(from, count);
        }
    }

    static Bits mask_bits(const bool* mask, std::int64_t count) noexcept {
        Integer bits[lanes] = {};
        for (std::int64_t i = 0; i < count; ++i) {
            bits[i] = mask[i] ? Integer{-1} : Integer{0};
        }
        Bits result;
        std::memcpy(&result, bits, sizeof result);
        return result;
    }

    static const T* values(const StridedMatrix& matrix) noexcept {
        return static_cast<const T*>(matrix.data);
    }

    void finish(std::int64_t sample, std::int64_t channel, T response, T highest,
                double sum) noexcept {
        const std::int64_t at = sample * planes_.channels + channel;
        T pooled{0};
        if (planes_.mask[at]) {
            pooled = planes_.pool == Pool::avg
                         ? static_cast<T>(sum / static_cast<double>(planes_.positions))
                         : highest;
            pooled = response == response ? pooled : response;  // a comparison forgets a NaN
        }
        static_cast<T*>(request_.response.data)[at] = response;
        static_cast<T*>(request_.pooled.data)[at] = pooled;
    }

    const ChannelResponse& request_;
    const ChannelPlanes& planes_;
    ChannelGroups<T> groups_;
    int threads_;
};

}  // namespace ipse::IPSE_ISA
