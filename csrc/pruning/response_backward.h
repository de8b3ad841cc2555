// The gradient of channel_response: everything is computed again from x, while it is in cache.
//
// A first look at some channels finds where their maxima are, if anything arrives there; a
// second one computes the gradient as if nothing did; then those positions are written again.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>

#include "base/parallel.h"
#include "base/shares.h"
#include "pruning/activation.h"
#include "pruning/channel_gradient.h"
#include "pruning/plane_vectors.h"

namespace ipse::IPSE_ISA {

template <class T, class S, Activation activation>
class ResponseBackward {
    using Bits = typename Simd<T>::Bits;
    using Integer = typename Simd<T>::Integer;
    using Groups = ChannelGroups<T>;
    static constexpr int lanes = Simd<T>::lanes;

public:
    explicit ResponseBackward(const ChannelResponseBackward& request)
        : request_(request),
          planes_(request.planes),
          groups_(planes_),
          threads_(useful_threads(planes_.x.rows, planes_.x.cols, 4, planes_.threads)),
          sums_(1, 2 * planes_.x.rows * planes_.channels) {}

    void run() noexcept {
        parallel_for(groups_.items(), threads_, [&](std::int64_t item, int) {
            groups_.for_each(item, [&](const ChannelGroup& group) { one(group); });
        });
        add_up();
    }

private:
    using Channel = ChannelGradient<T>;

    template <int vectors>
    using Coefficients = ChannelCoefficients<T, vectors>;

    void one(const ChannelGroup& group) noexcept {
        if (!planes_.channels_last) {
            work<1, true>(group);
        } else if (group.count == Groups::most) {
            work<Groups::most_vectors, true>(group);
        } else if (group.count == lanes) {
            work<1, true>(group);
        } else {
            work<1, false>(group);
        }
    }

    template <int vectors, bool whole>
    void work(const ChannelGroup& group) noexcept {
        Channel channels[vectors * lanes];
        bool search = false;
        bool needed = false;
        for (std::int64_t i = 0; i < group.count; ++i) {
            begin(channels[i], group.sample, group.first + i);
            search = search || channels[i].by_response != T{0} || channels[i].by_pooled != T{0};
            needed = needed || kept(group.sample, group.first + i);
        }
        const auto coefficients = coefficients_of<vectors>(group, channels);
        if (search) {
            find<vectors, whole>(group, coefficients, channels);
        }
        if (needed || planes_.channels_last) {
            pass<vectors, whole>(group, coefficients, channels);
        } else {
            std::memset(value_at<S>(request_.grad_x, planes_, group.sample, group.first, 0), 0,
                        static_cast<std::size_t>(planes_.positions) * sizeof(S));
        }
        for (std::int64_t i = 0; i < group.count; ++i) {
            finish(channels[i], group.sample, group.first + i);
        }
    }

    bool kept(std::int64_t sample, std::int64_t channel) const noexcept {
        return planes_.mask[sample * planes_.channels + channel];
    }

    static T value_of(const StridedMatrix& matrix, std::int64_t at) noexcept {
        return matrix.data == nullptr ? T{0} : static_cast<const T*>(matrix.data)[at];
    }

    void begin(Channel& channel, std::int64_t sample, std::int64_t index) noexcept {
        const std::int64_t at = sample * planes_.channels + index;
        channel.by_response = value_of(request_.grad_response, at);
        if (!planes_.mask[at]) {
            return;
        }
        const T pooled = value_of(request_.grad_pooled, at);
        if (planes_.pool == Pool::avg) {
            channel.every = pooled / static_cast<T>(planes_.positions);
        } else {
            channel.by_pooled = pooled;
        }
    }

    template <int vectors>
    Coefficients<vectors> coefficients_of(const ChannelGroup& group,
                                          const Channel* channels) const noexcept {
        Coefficients<vectors> result{};
        for (int i = 0; i < vectors * lanes; ++i) {
            const std::int64_t of = planes_.channels_last ? i : 0;
            if (of < group.count) {
                result.scale[i / lanes][i % lanes] = value_of(planes_.scale, group.first + of);
                result.shift[i / lanes][i % lanes] = value_of(planes_.shift, group.first + of);
                result.every[i / lanes][i % lanes] = channels[of].every;
                result.kept[i / lanes][i % lanes] =
                    kept(group.sample, group.first + of) ? Integer{-1} : Integer{0};
            }
        }
        return result;
    }

    // Calls visit(v, offset, left, p): vector v holds the values from `offset` of the group's
    // first on, `left` of them, at position p (and, of one channel, those after it).
    template <int vectors, class Visit>
    void for_each_vector(const ChannelGroup& group, std::int64_t begin, std::int64_t end,
                         const Visit& visit) const noexcept {
        if (planes_.channels_last) {
            for (std::int64_t p = begin; p < end; ++p) {
#pragma GCC unroll 4
                for (int v = 0; v < vectors; ++v) {
                    visit(v, p * planes_.channels + v * lanes, group.count, p);
                }
            }
        } else {
            for (std::int64_t p = begin; p < end; p += lanes) {
                visit(0, p, planes_.positions - p, p);
            }
        }
    }

    // A vector that may be incomplete: with `whole` only at the end of a single channel.
    template <bool whole>
    Vector<T> some(const S* from, std::int64_t left) const noexcept {
        if (whole && (planes_.channels_last || left >= lanes)) {
            return load_values<T>(from);
        }
        return load_some<T>(from, left < lanes ? left : lanes);
    }

    template <int vectors, bool whole>
    void find(const ChannelGroup& group, const Coefficients<vectors>& c,
              Channel* channels) noexcept {
        FirstLargest<T, Bits> strongest[vectors];
        FirstLargest<T, Vector<T>> highest[vectors];
        Bits ramp{};
        for (int v = 0; v < vectors; ++v) {
            strongest[v].largest = -1 - Bits{};
            highest[v].largest = broadcast(-std::numeric_limits<T>::infinity());
        }
        for (int lane = 0; lane < lanes && !planes_.channels_last; ++lane) {
            ramp[lane] = lane;
        }
        const S* x = value_at<S>(planes_.x, planes_, group.sample, group.first, 0);
        for_each_vector<vectors>(
            group, 0, planes_.positions,
            [&](int v, std::int64_t offset, std::int64_t left, std::int64_t p) {
                const Vector<T> value = activate<T, activation>(
                    some<whole>(x + offset, left) * c.scale[v] + c.shift[v]);
                const Bits valid = left >= lanes ? ~Bits{} : lanes_before<T>(left);
                const Bits positions = ramp + static_cast<Integer>(p);
                strongest[v].offer(magnitude<T>(value), valid, positions);
                highest[v].offer(value, valid, positions);
            });
        for (std::int64_t i = 0; i < group.count; ++i) {
            const int lane = static_cast<int>(i % lanes);
            const auto v = i / lanes;
            channels[i].strongest =
                planes_.channels_last ? strongest[v].where[lane] : strongest[v].position();
            channels[i].highest =
                planes_.channels_last ? highest[v].where[lane] : highest[v].position();
        }
    }

    // The gradient, but for what arrives at the maxima.
    template <int vectors, bool whole>
    void pass(const ChannelGroup& group, const Coefficients<vectors>& c,
              Channel* channels) noexcept {
        const S* x = value_at<S>(planes_.x, planes_, group.sample, group.first, 0);
        const bool arrives = request_.grad_out.data != nullptr;
        const S* grad =
            arrives ? value_at<S>(request_.grad_out, planes_, group.sample, group.first, 0) : x;
        S* to = value_at<S>(request_.grad_x, planes_, group.sample, group.first, 0);
        for (std::int64_t p = 0; p < planes_.positions; p += run_length) {
            const std::int64_t end =
                p + run_length < planes_.positions ? p + run_length : planes_.positions;
            Vector<T> sums[vectors] = {};
            Vector<T> with_x[vectors] = {};
            for_each_vector<vectors>(
                group, p, end, [&](int v, std::int64_t offset, std::int64_t left, std::int64_t) {
                    const Vector<T> in = some<whole>(x + offset, left);
                    Vector<T> by_z = c.every[v];
                    if (arrives) {
                        by_z += some<whole>(grad + offset, left);
                    }
                    by_z *= slope<T, activation>(in * c.scale[v] + c.shift[v]);
                    const Bits valid =
                        left >= lanes ? c.kept[v] : c.kept[v] & lanes_before<T>(left);
                    by_z = valid ? by_z : Vector<T>{};
                    sums[v] += by_z;
                    with_x[v] += valid ? by_z * in : Vector<T>{};
                    if (whole && (planes_.channels_last || left >= lanes)) {
                        store_values<T>(to + offset, by_z * c.scale[v]);
                    } else {
                        store_some<T>(to + offset, by_z * c.scale[v], left < lanes ? left : lanes);
                    }
                });
            add_to(group, sums, with_x, channels);
        }
    }

    void add_to(const ChannelGroup& group, const Vector<T>* sums, const Vector<T>* with_x,
                Channel* channels) const noexcept {
        if (!planes_.channels_last) {
            channels[0].sum += static_cast<double>(sum_lanes<T>(sums[0]));
            channels[0].sum_with_x += static_cast<double>(sum_lanes<T>(with_x[0]));
            return;
        }
        for (std::int64_t i = 0; i < group.count; ++i) {
            const int lane = static_cast<int>(i % lanes);
            channels[i].sum += static_cast<double>(sums[i / lanes][lane]);
            channels[i].sum_with_x += static_cast<double>(with_x[i / lanes][lane]);
        }
    }

    // The positions that a maximum points to, and the channel's sums.
    void finish(Channel& channel, std::int64_t sample, std::int64_t index) noexcept {
        if (channel.by_response != T{0}) {
            point(channel, sample, index, channel.strongest);
        }
        const bool done = channel.by_response != T{0} && channel.highest == channel.strongest;
        if (channel.by_pooled != T{0} && !done) {
            point(channel, sample, index, channel.highest);
        }
        double* pair = sums_[0] + 2 * (sample * planes_.channels + index);
        pair[0] = channel.sum;
        pair[1] = channel.sum_with_x;
    }

    // Writes the gradient of one position again, with what the maxima at it add.
    void point(Channel& channel, std::int64_t sample, std::int64_t index,
               std::int64_t position) noexcept {
        const T x = read<T>(*value_at<S>(planes_.x, planes_, sample, index, position));
        const T scale = value_of(planes_.scale, index);
        const Vector<T> z =
            broadcast(x) * broadcast(scale) + broadcast(value_of(planes_.shift, index));
        T added{0};
        if (position == channel.strongest) {
            const T value = activate<T, activation>(z)[0];
            added += channel.by_response * static_cast<T>((value > T{0}) - (value < T{0}));
        }
        if (position == channel.highest) {
            added += channel.by_pooled;
        }
        T arrived = channel.every;
        if (kept(sample, index) && request_.grad_out.data != nullptr) {
            arrived += read<T>(*value_at<S>(request_.grad_out, planes_, sample, index, position));
        }
        const T derivative = slope<T, activation>(z)[0];
        const double by_z = static_cast<double>(added * derivative);
        channel.sum += by_z;
        channel.sum_with_x += by_z * static_cast<double>(x);
        *value_at<S>(request_.grad_x, planes_, sample, index, position) =
            write<S>((arrived + added) * derivative * scale);
    }

    // Sums over the samples in their order.
    void add_up() noexcept {
        for (std::int64_t channel = 0; channel < planes_.channels; ++channel) {
            double sum = 0.0;
            double with_x = 0.0;
            for (std::int64_t sample = 0; sample < planes_.x.rows; ++sample) {
                const double* pair = sums_[0] + 2 * (sample * planes_.channels + channel);
                sum += pair[0];
                with_x += pair[1];
            }
            static_cast<T*>(request_.grad_shift.data)[channel] = static_cast<T>(sum);
            static_cast<T*>(request_.grad_scale.data)[channel] = static_cast<T>(with_x);
        }
    }

    const ChannelResponseBackward& request_;
    const ChannelPlanes& planes_;
    Groups groups_;
    int threads_;
    Shares<double> sums_;
};

}  // namespace ipse::IPSE_ISA
