// What the bindings ask of channel_response. Shared by all instruction sets.
#pragma once

#include <cstdint>

#include "base/matrix.h"

namespace ipse {

enum class Activation : std::uint8_t { identity, relu, relu6, silu };
enum class Pool : std::uint8_t { avg, max };

// Channels of P positions each, activation(x * scale + shift). All matrices in C order.
struct ChannelPlanes {
    StridedMatrix x;  // (N, C * P), each sample's channels one after the other, or its positions
    StridedMatrix scale;  // (1, C), compute type
    StridedMatrix shift;  // (1, C), compute type
    const bool* mask{};   // (N, C)
    std::int64_t channels = 0;
    std::int64_t positions = 0;
    bool channels_last = false;
    Activation activation = Activation::relu;
    Pool pool = Pool::avg;
    int threads = 1;
};

struct ChannelResponse {
    ChannelPlanes planes;
    StridedMatrix out;       // like x
    StridedMatrix response;  // (N, C), compute type
    StridedMatrix pooled;    // (N, C), compute type
};

// Null data of a gradient: it is zero.
struct ChannelResponseBackward {
    ChannelPlanes planes;
    StridedMatrix grad_out;       // like x
    StridedMatrix grad_response;  // (N, C), compute type
    StridedMatrix grad_pooled;    // (N, C), compute type
    StridedMatrix grad_x;         // like x
    StridedMatrix grad_scale;     // (1, C), compute type
    StridedMatrix grad_shift;     // (1, C), compute type
};

struct ResponseTable {
    void (*forward)(const ChannelResponse&);
    void (*backward)(const ChannelResponseBackward&);
};

}  // namespace ipse
