#include "base/gemm.h"
#include "base/isa_table.h"
#include "base/tile_gemm.h"
#include "base/workspace.h"

namespace ipse::IPSE_ISA {
namespace {

// A product with a small result and a long sum is split along the sum: each slot
// packs and multiplies its own range into its own copy of C, chunk by chunk, and
// nothing larger than a chunk is ever packed.
constexpr std::int64_t long_depth = 2048;
constexpr std::int64_t chunk_depth = 512;
constexpr std::int64_t small_result = 256 * 1024;

template <class S>
Source<S> source_of(const StridedMatrix& matrix) noexcept {
    return {static_cast<const S*>(matrix.data), matrix.row_stride, matrix.col_stride};
}

template <class T>
void pack_panel_of(const StridedMatrix& matrix, std::int64_t index, std::int64_t k_begin,
                   std::int64_t k_end, T* to) noexcept {
    visit_dtype(matrix.dtype, [&](auto storage) {
        using S = decltype(storage);
        pack_panel<T>(source_of<S>(matrix), matrix.rows, index, k_begin, k_end, to);
    });
}

template <class T>
struct Output {
    T* data;
    std::int64_t row_stride;
    std::int64_t col_stride;
    bool accumulate;

    explicit Output(const GemmRequest& request) noexcept
        : data(static_cast<T*>(request.out.data)),
          row_stride(request.out.row_stride),
          col_stride(request.out.col_stride),
          accumulate(request.accumulate) {}

    void put(std::int64_t row, std::int64_t col, T value) const noexcept {
        T& to = data[row * row_stride + col * col_stride];
        to = accumulate ? to + value : value;
    }

    void put_line(std::int64_t row, std::int64_t col, std::int64_t count,
                  const T* values) const noexcept {
        if (col_stride == 1) {
            T* to = data + row * row_stride + col;
            for (std::int64_t j = 0; j < count; ++j) {
                to[j] = accumulate ? to[j] + values[j] : values[j];
            }
            return;
        }
        for (std::int64_t j = 0; j < count; ++j) {
            put(row, col + j, values[j]);
        }
    }

    // One row of a piece of C; in symmetric mode its mirror image too.
    void put_row(std::int64_t row, std::int64_t col, std::int64_t count, const T* values,
                 bool symmetric) const noexcept {
        if (!symmetric) {
            put_line(row, col, count, values);
            return;
        }
        const std::int64_t skip = row > col ? row - col : 0;
        for (std::int64_t j = skip; j < count; ++j) {
            put(row, col + j, values[j]);
            if (col + j != row) {
                put(col + j, row, values[j]);
            }
        }
    }
};

template <class T>
void gemm_tiles(const GemmRequest& request) {
    const StridedMatrix& a = request.left;
    const StridedMatrix& b = request.right;
    using Packed = PackedMatrix<T>;
    const Workspace left_room = Workspace::elements(Packed::elements(a.rows, a.cols), sizeof(T));
    const Workspace right_room =
        request.symmetric ? Workspace()
                          : Workspace::elements(Packed::elements(b.rows, b.cols), sizeof(T));
    const Packed left{static_cast<T*>(left_room.data()), a.rows, a.cols};
    const Packed right =
        request.symmetric ? left : Packed{static_cast<T*>(right_room.data()), b.rows, b.cols};
    const TileGrid<T> grid(a.rows, b.rows, request.symmetric, request.threads);
    const Workspace scratch =
        Workspace::elements(request.threads * grid.scratch_elements(), sizeof(T));

    const std::int64_t left_panels = panel_count<T>(a.rows);
    const std::int64_t right_panels = request.symmetric ? 0 : panel_count<T>(b.rows);
    parallel_for(left_panels + right_panels, request.threads, [&](std::int64_t item, int) {
        const bool is_left = item < left_panels;
        const Packed& to = is_left ? left : right;
        const std::int64_t index = is_left ? item : item - left_panels;
        pack_panel_of(is_left ? a : b, index, 0, to.depth, to.panel(index));
    });
    const Output<T> out(request);
    tile_gemm(left, right, grid, request.threads, static_cast<T*>(scratch.data()),
              [&](const Tile<T>& tile) {
                  for (std::int64_t i = 0; i < tile.rows; ++i) {
                      out.put_row(tile.row + i, tile.col, tile.cols, tile.data + i * tile.stride,
                                  request.symmetric);
                  }
              });
}

template <class T>
void gemm_split_depth(const GemmRequest& request) {
    const StridedMatrix& a = request.left;
    const StridedMatrix& b = request.right;
    const std::int64_t rows = padded_rows<T>(a.rows);
    const std::int64_t cols = padded_rows<T>(b.rows);
    const std::int64_t depth = a.cols;
    const std::int64_t slots = request.threads;
    const std::int64_t slot_elements = rows * cols + (rows + cols) * chunk_depth;
    const Workspace room = Workspace::elements(slots * slot_elements, sizeof(T));
    T* const base = static_cast<T*>(room.data());

    parallel_for(slots, request.threads, [&](std::int64_t slot, int) {
        T* c = base + slot * slot_elements;
        const std::int64_t end = depth * (slot + 1) / slots;
        bool first = true;
        for (std::int64_t k = depth * slot / slots; k < end || first; k += chunk_depth) {
            const std::int64_t here = end - k < chunk_depth ? end - k : chunk_depth;
            const PackedMatrix<T> left{c + rows * cols, a.rows, here};
            const PackedMatrix<T> right =
                request.symmetric ? left : PackedMatrix<T>{left.data + rows * here, b.rows, here};
            for (std::int64_t p = 0; p < panel_count<T>(a.rows); ++p) {
                pack_panel_of(a, p, k, k + here, left.panel(p));
            }
            for (std::int64_t p = 0; p < panel_count<T>(b.rows) && !request.symmetric; ++p) {
                pack_panel_of(b, p, k, k + here, right.panel(p));
            }
            const Block all{0, a.rows, 0, panel_count<T>(b.rows), request.symmetric};
            multiply_block(left, right, all, 0, here, c, cols, !first);
            first = false;
        }
    });
    const Output<T> out(request);
    parallel_for(a.rows, request.threads, [&](std::int64_t row, int) {
        T* line = base + row * cols;
        for (std::int64_t slot = 1; slot < slots; ++slot) {
            const T* other = line + slot * slot_elements;
            for (std::int64_t j = 0; j < b.rows; ++j) {
                line[j] += other[j];
            }
        }
        out.put_row(row, 0, b.rows, line, request.symmetric);
    });
}

template <class T>
void gemm_as(const GemmRequest& request) {
    const bool small =
        padded_rows<T>(request.left.rows) * padded_rows<T>(request.right.rows) <= small_result;
    if (small && request.left.cols >= long_depth) {
        gemm_split_depth<T>(request);
    } else {
        gemm_tiles<T>(request);
    }
}

}  // namespace

void gemm(const GemmRequest& request) {
    if (request.out.dtype == DType::float64) {
        gemm_as<double>(request);
    } else {
        gemm_as<float>(request);
    }
}

}  // namespace ipse::IPSE_ISA
