#include "base/checked_size.h"

#include <stdexcept>

namespace ipse {

std::int64_t checked_multiply(std::int64_t a, std::int64_t b) {
    std::int64_t product = 0;
    if (__builtin_mul_overflow(a, b, &product)) {
        throw std::length_error("size overflows 64 bits");
    }
    return product;
}

std::int64_t checked_add(std::int64_t a, std::int64_t b) {
    std::int64_t sum = 0;
    if (__builtin_add_overflow(a, b, &sum)) {
        throw std::length_error("size overflows 64 bits");
    }
    return sum;
}

}  // namespace ipse
