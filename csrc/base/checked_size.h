// Sizes in 64 bits: every product that becomes an allocation goes through here.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ipse {

// a * b, or std::length_error (a ValueError in Python) where it leaves 63 bits.
std::int64_t checked_multiply(std::int64_t a, std::int64_t b);

// a + b, or std::length_error where it leaves 63 bits.
std::int64_t checked_add(std::int64_t a, std::int64_t b);

}  // namespace ipse
