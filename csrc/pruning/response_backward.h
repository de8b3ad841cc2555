// The gradient of channel_response: everything is computed again from x, plane by plane.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>

#include "base/parallel.h"
#include "pruning/activation.h"
#include "pruning/plane_blocks.h"
#include "pruning/response.h"

namespace ipse::IPSE_ISA {

// Where the largest of a stream of values came first, lane by lane.
template <class T, class V>
struct FirstLargest {
    using Bits = typename Simd<T>::Bits;
    using Integer = typename Simd<T>::Integer;

    V largest;
    Bits where{};

    void offer(V values, Bits valid, Bits positions) noexcept {
        const Bits better = (values > largest) & valid;
        largest = better ? values : largest;
        where = better ? positions : where;
    }

    std::int64_t position() const noexcept {
        int best = 0;
        for (int lane = 1; lane < Simd<T>::lanes; ++lane) {
            const bool above = largest[lane] > largest[best];
            const bool sooner = largest[lane] == largest[best] && where[lane] < where[best];
            best = above || sooner ? lane : best;
        }
        return where[best];
    }
};

template <class T, class S, Activation activation>
class ResponseBackward {
    using Bits = typename Simd<T>::Bits;
    using Integer = typename Simd<T>::Integer;
    using Blocks = PlaneBlocks<T, S>;
    using Forward = ResponseForward<T, S, activation>;
    static constexpr int lanes = Simd<T>::lanes;

public:
    explicit ResponseBackward(const ChannelResponseBackward& request)
        : request_(request),
          planes_(request.planes),
          blocks_(planes_),
          threads_(useful_threads(planes_.x.rows, planes_.x.cols, 4, planes_.threads)),
          room_(threads_, 3 * Blocks::block),
          sums_(1, 2 * planes_.x.rows * planes_.channels) {}

    void run() noexcept {
        const std::int64_t groups = planes_.x.rows * blocks_.groups_of_a_sample();
        const std::int64_t each = Forward::groups_of_an_item(planes_.positions);
        parallel_for((groups + each - 1) / each, threads_, [&](std::int64_t item, int worker) {
            const std::int64_t end = (item + 1) * each < groups ? (item + 1) * each : groups;
            for (std::int64_t index = item * each; index < end; ++index) {
                one(blocks_.group(index), room_[worker]);
            }
        });
        add_up();
    }

private:
    // What is known of one plane of a group.
    struct Plane {
        T scale{};
        T shift{};
        bool kept = false;
        T every{};        // what arrives at every position beside grad_out
        T by_response{};  // what arrives at the strongest position
        T by_pooled{};    // what arrives at the highest position
        FirstLargest<T, Bits> strongest{-1 - Bits{}};
        FirstLargest<T, Vector<T>> highest{broadcast(-std::numeric_limits<T>::infinity())};
        double sum = 0.0;         // of what arrives at z
        double sum_with_x = 0.0;  // of that times x
    };

    static T value_of(const StridedMatrix& matrix, std::int64_t at) noexcept {
        return matrix.data == nullptr ? T{0} : static_cast<const T*>(matrix.data)[at];
    }

    void one(const Group& group, T* room) noexcept {
        Plane planes[Blocks::largest_group];
        bool search = false;
        for (std::int64_t i = 0; i < group.count; ++i) {
            begin(planes[i], group.sample, group.first + i);
            search = search || planes[i].by_response != T{0} || planes[i].by_pooled != T{0};
        }
        if (search) {
            blocks_.for_each_block([&](std::int64_t position, std::int64_t size) {
                for (std::int64_t i = 0; i < group.count; ++i) {
                    find(blocks_.read_block(planes_.x, group.sample, group.first + i, position,
                                            size, room),
                         position, size, planes[i]);
                }
            });
        }
        blocks_.for_each_block([&](std::int64_t position, std::int64_t size) {
            for (std::int64_t i = 0; i < group.count; ++i) {
                pass(planes[i], group.sample, group.first + i, position, size, room);
            }
        });
        for (std::int64_t i = 0; i < group.count; ++i) {
            finish(planes[i], group.sample, group.first + i);
        }
    }

    void begin(Plane& plane, std::int64_t sample, std::int64_t channel) noexcept {
        const std::int64_t at = sample * planes_.channels + channel;
        plane.scale = static_cast<const T*>(planes_.scale.data)[channel];
        plane.shift = static_cast<const T*>(planes_.shift.data)[channel];
        plane.kept = planes_.mask[at];
        plane.by_response = value_of(request_.grad_response, at);
        if (plane.kept && planes_.pool == Pool::avg) {
            plane.every = value_of(request_.grad_pooled, at) / static_cast<T>(planes_.positions);
        } else if (plane.kept) {
            plane.by_pooled = value_of(request_.grad_pooled, at);
        }
    }

    void find(const T* x, std::int64_t position, std::int64_t size, Plane& plane) noexcept {
        Bits positions;
        for (int lane = 0; lane < lanes; ++lane) {
            positions[lane] = static_cast<Integer>(position) + lane;
        }
        for (std::int64_t i = 0; i < size; i += lanes) {
            const std::int64_t left = size - i < lanes ? size - i : lanes;
            const Vector<T> in = left == lanes ? load(x + i) : load_some(x + i, left);
            const Vector<T> value =
                activate<T, activation>(in * broadcast(plane.scale) + broadcast(plane.shift));
            const Bits valid = lanes_before<T>(left);
            plane.strongest.offer(magnitude<T>(value), valid, positions);
            plane.highest.offer(value, valid, positions);
            positions += static_cast<Integer>(lanes) - Bits{};
        }
    }

    // One block of a plane, but for the positions that a maximum points to.
    void pass(Plane& plane, std::int64_t sample, std::int64_t channel, std::int64_t position,
              std::int64_t size, T* room) noexcept {
        T* to =
            blocks_.room_for(request_.grad_x, sample, channel, position, room + 2 * Blocks::block);
        const bool arrives = request_.grad_out.data != nullptr;
        if (!plane.kept || (!arrives && plane.every == T{0})) {
            std::memset(to, 0, static_cast<std::size_t>(size) * sizeof(T));
        } else {
            const T* x = blocks_.read_block(planes_.x, sample, channel, position, size, room);
            if (arrives) {
                const T* grad = blocks_.read_block(request_.grad_out, sample, channel, position,
                                                   size, room + Blocks::block);
                step<true>(x, grad, to, size, plane);
            } else {
                step<false>(x, nullptr, to, size, plane);
            }
        }
        blocks_.write_block(to, request_.grad_x, sample, channel, position, size);
    }

    template <bool arrives>
    void step(const T* x, const T* grad, T* to, std::int64_t size, Plane& plane) noexcept {
        const Vector<T> scale = broadcast(plane.scale);
        const Vector<T> shift = broadcast(plane.shift);
        const Vector<T> every = broadcast(plane.every);
        Vector<T> sum{};
        Vector<T> with_x{};
        std::int64_t i = 0;
        for (; i + lanes <= size; i += lanes) {
            const Vector<T> in = load(x + i);
            Vector<T> by_z = every;
            if constexpr (arrives) {
                by_z += load(grad + i);
            }
            by_z *= slope<T, activation>(in * scale + shift);
            sum += by_z;
            with_x += by_z * in;
            store(to + i, by_z * scale);
        }
        if (i < size) {
            const std::int64_t left = size - i;
            const Vector<T> in = load_some(x + i, left);
            Vector<T> by_z = every;
            if constexpr (arrives) {
                by_z += load_some(grad + i, left);
            }
            by_z *= slope<T, activation>(in * scale + shift);
            by_z = lanes_before<T>(left) ? by_z : Vector<T>{};
            sum += by_z;
            with_x += by_z * in;
            store_some(to + i, by_z * scale, left);
        }
        plane.sum += static_cast<double>(sum_lanes<T>(sum));
        plane.sum_with_x += static_cast<double>(sum_lanes<T>(with_x));
    }

    // The positions that a maximum points to, and the plane's sums.
    void finish(Plane& plane, std::int64_t sample, std::int64_t channel) noexcept {
        const bool response = plane.by_response != T{0};
        const bool pooled = plane.by_pooled != T{0};
        const std::int64_t first = response ? plane.strongest.position() : -1;
        const std::int64_t second = pooled ? plane.highest.position() : -1;
        if (response) {
            point(plane, sample, channel, first, second);
        }
        if (pooled && second != first) {
            point(plane, sample, channel, second, second);
        }
        const std::int64_t at = sample * planes_.channels + channel;
        sums_[0][2 * at] = plane.sum;
        sums_[0][2 * at + 1] = plane.sum_with_x;
    }

    // Writes the gradient of one position again, with what the maxima at it add.
    void point(Plane& plane, std::int64_t sample, std::int64_t channel, std::int64_t position,
               std::int64_t highest) noexcept {
        const T x = read<T>(*blocks_.at(planes_.x, sample, channel, position));
        const Vector<T> z = broadcast(x) * broadcast(plane.scale) + broadcast(plane.shift);
        const T derivative = slope<T, activation>(z)[0];
        T added{0};
        if (plane.by_response != T{0} && position == plane.strongest.position()) {
            const T value = activate<T, activation>(z)[0];
            added += plane.by_response * static_cast<T>((value > T{0}) - (value < T{0}));
        }
        if (plane.by_pooled != T{0} && position == highest) {
            added += plane.by_pooled;
        }
        T arrived{0};
        if (plane.kept) {
            arrived = plane.every;
            if (request_.grad_out.data != nullptr) {
                arrived += read<T>(*blocks_.at(request_.grad_out, sample, channel, position));
            }
        }
        const T by_z = added * derivative;
        plane.sum += static_cast<double>(by_z);
        plane.sum_with_x += static_cast<double>(by_z) * static_cast<double>(x);
        *blocks_.at(request_.grad_x, sample, channel, position) =
            write<S>((arrived + added) * derivative * plane.scale);
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
    Blocks blocks_;
    int threads_;
    Shares<T> room_;
    Shares<double> sums_;
};

}  // namespace ipse::IPSE_ISA
