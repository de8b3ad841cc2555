// The plain types that cross from the bindings into the kernels.
// No code here: every instruction set shares these definitions.
#pragma once

#include <cstdint>

namespace ipse {

enum class DType : std::uint8_t { float32, float64, bfloat16, float16 };

// A matrix somewhere in memory: strides in elements, of any sign, 0 where expanded.
// `data` points at element (0, 0). The bindings have checked that every element
// lies inside its owner and that no offset overflows 64 bits.
struct StridedMatrix {
    void* data = nullptr;
    DType dtype = DType::float32;
    std::int64_t rows = 0;
    std::int64_t cols = 0;
    std::int64_t row_stride = 0;
    std::int64_t col_stride = 0;
};

}  // namespace ipse
