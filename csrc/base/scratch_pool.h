// Scratch memory that the last operations gave back, for the next ones to use.
//
// A training step allocates the same few blocks again and again. Given back to the C library
// they are unmapped, and each step pays for fresh, zeroed pages: 130 page faults and a fifth of
// the time of NT-Xent at 2 x 256 x 128. The pool keeps at most `capacity` bytes.
#pragma once

#include <cstdint>

namespace ipse::scratch_pool {

// Above what one operation of ordinary size needs, below what anybody would miss.
constexpr std::int64_t capacity = 32 * 1024 * 1024;
// Smaller blocks stay mapped in the C library anyhow.
constexpr std::int64_t least = 32 * 1024;

// A block of at least `bytes`, at most twice as many, or null; `bytes` becomes its size.
void* take(std::int64_t& bytes) noexcept;

// False: the pool is full or the block is too small, the caller frees it.
bool keep(void* data, std::int64_t bytes) noexcept;

}  // namespace ipse::scratch_pool
