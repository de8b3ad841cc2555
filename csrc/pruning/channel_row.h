// One row of channel responses: its values, its masses on a grid, and its channels in 256
// buckets of descending value.
//
// Nothing is normalised and nothing sorted. The bits of a number that is at least 0 are an
// integer in the same order, so `(largest - bits) >> shift` is a bucket: 32 to the octave, the
// last one for everything smaller. Masses are integers whose sums stay below 2^50, exact in
// any order.
#pragma once

#include <cstdint>
#include <type_traits>

#include "base/half.h"
#include "base/simd.h"

namespace ipse::IPSE_ISA {

// What the released code adds to the mass, and compares shares and responses with.
constexpr double mass_tolerance = 1e-5;

constexpr int num_buckets = 256;

template <class T>
struct ChannelRow {
    using Bits = std::make_unsigned_t<typename Simd<T>::Integer>;
    static constexpr int mantissa_bits = sizeof(T) == 8 ? 52 : 23;
    static constexpr Bits infinity = (sizeof(T) == 8 ? Bits{0x7ff} : Bits{0xff}) << mantissa_bits;
    static constexpr int octave_shift = mantissa_bits - 5;

    std::int64_t channels = 0;
    Bits* bits = nullptr;             // (C)
    std::int64_t* masses = nullptr;   // (C)
    std::uint8_t* buckets = nullptr;  // (C), then up to 7 more, not used
    std::int64_t* spare = nullptr;    // (C), for whoever chooses among them
    Bits largest = 0;

    // Reads row `row` and says whether every response is at least 0 and finite.
    template <class S>
    bool read_from(const StridedMatrix& response, std::int64_t row) noexcept {
        const S* from = static_cast<const S*>(response.data) + row * response.row_stride;
        if (response.col_stride == 1) {
            copy(from, std::integral_constant<std::int64_t, 1>{});
        } else {
            copy(from, response.col_stride);
        }
        const Bits* const values = bits;
        Bits most = 0;
        for (std::int64_t i = 0, end = channels; i < end; ++i) {
            most = values[i] > most ? values[i] : most;  // what is negative is above infinity
        }
        largest = most;
        return largest < infinity;
    }

    // Fills the masses and returns their sum.
    std::int64_t weigh() noexcept {
        int exponent = 0;
        static_cast<void>(__builtin_frexp(static_cast<double>(bit_cast<T>(largest)), &exponent));
        int channel_bits = 0;
        while ((std::int64_t{1} << channel_bits) < channels) {
            ++channel_bits;
        }
        // In two steps: 2^shift alone can leave the range of a double.
        const int shift = 50 - channel_bits - exponent;
        const int first = shift >> 1;
        const double scale = __builtin_ldexp(1.0, first);
        const double again = __builtin_ldexp(1.0, shift - first);
        // Added to a number below 2^51, pushes its fraction out of the mantissa: to even on a tie.
        constexpr double magic = 0x1.8p52;
        const auto origin = bit_cast<std::int64_t>(magic);
        // Copies that no store can reach: the compiler keeps them in registers and uses vectors.
        const Bits* const from = bits;
        std::int64_t* __restrict const to = masses;
        std::int64_t total = 0;
        for (std::int64_t i = 0, end = channels; i < end; ++i) {
            const auto value = static_cast<double>(bit_cast<T>(from[i]));
            const std::int64_t mass =
                bit_cast<std::int64_t>(value * scale * again + magic) - origin;
            to[i] = mass;
            total += mass;
        }
        return total;
    }

    // Puts every channel into its bucket.
    void sort_into_buckets() noexcept {
        const Bits* const from = bits;
        std::uint8_t* __restrict const to = buckets;
        const Bits most = largest;
        for (std::int64_t i = 0, end = channels; i < end; ++i) {
            const Bits below = (most - from[i]) >> octave_shift;
            to[i] = static_cast<std::uint8_t>(below < num_buckets ? below : num_buckets - 1);
        }
    }

private:
    // Adding 0 turns -0 into 0.
    template <class S, class Stride>
    void copy(const S* from, Stride stride) noexcept {
        Bits* __restrict const to = bits;
        for (std::int64_t i = 0, end = channels; i < end; ++i) {
            to[i] = bit_cast<Bits>(read<T>(from[i * stride]) + T{0});
        }
    }
};

}  // namespace ipse::IPSE_ISA
