// The tile GEMM: C = A * B^T, tile by tile, each finished tile handed to an epilogue
// while it is still in cache. Nothing of size rows x cols is stored unless the
// epilogue does so. This is the engine under every fused loss.
#pragma once

#include <cstdint>

#include "base/multiply.h"
#include "base/panels.h"
#include "base/parallel.h"

namespace ipse::IPSE_ISA {

// A finished piece of C. Element (i, j) of the tile is C[row + i][col + j].
template <class T>
struct Tile {
    std::int64_t index;  // position in the fixed order of tiles: where a partial result belongs
    std::int64_t row;
    std::int64_t col;
    std::int64_t rows;
    std::int64_t cols;
    T* data;
    std::int64_t stride;
};

// How C is cut. In symmetric mode only tiles that touch the upper triangle are visited;
// inside such a tile, what lies below the diagonal is undefined.
template <class T>
struct TileGrid {
    std::int64_t rows = 0;
    std::int64_t cols = 0;
    bool symmetric = false;
    std::int64_t tile_rows = 128;
    std::int64_t tile_panels = 256 / Panel<T>::rows;

    // Starts from a tile whose operands and result fill half of a 1 MiB L2, and halves
    // it until every thread has a few.
    TileGrid(std::int64_t row_count, std::int64_t col_count, bool upper, int threads) noexcept
        : rows(row_count), cols(col_count), symmetric(upper) {
        while (count() < 4 * threads && (tile_rows > 32 || tile_panels > 2)) {
            if (tile_rows > tile_cols() || tile_panels <= 2) {
                tile_rows /= 2;
            } else {
                tile_panels = (tile_panels + 1) / 2;
            }
        }
    }

    std::int64_t tile_cols() const noexcept { return tile_panels * Panel<T>::rows; }
    std::int64_t down() const noexcept { return (rows + tile_rows - 1) / tile_rows; }
    std::int64_t across() const noexcept { return (cols + tile_cols() - 1) / tile_cols(); }
    std::int64_t count() const noexcept { return down() * across(); }
    // Strips overhang a ragged last row: scratch is whole strips and whole panels.
    std::int64_t scratch_elements() const noexcept {
        return (tile_rows + Panel<T>::strip) * tile_cols();
    }
};

// Packs the panels of a whole matrix on up to `threads` threads.
template <class T, class S>
void pack_matrix(const Source<S>& from, const PackedMatrix<T>& to, int threads) noexcept {
    parallel_for(panel_count<T>(to.rows), threads, [&](std::int64_t index, int) {
        pack_panel(from, to.rows, index, 0, to.depth, to.panel(index));
    });
}

// Computes every tile and calls epilogue(tile) on it, in any order, on any thread.
// scratch: grid.scratch_elements() for each of `threads` workers.
template <class T, class Epilogue>
void tile_gemm(const PackedMatrix<T>& left, const PackedMatrix<T>& right, const TileGrid<T>& grid,
               int threads, T* scratch, const Epilogue& epilogue) noexcept {
    parallel_for(grid.count(), threads, [&](std::int64_t index, int worker) {
        Tile<T> tile{};
        tile.index = index;
        tile.row = index / grid.across() * grid.tile_rows;
        tile.col = index % grid.across() * grid.tile_cols();
        tile.rows = grid.rows - tile.row < grid.tile_rows ? grid.rows - tile.row : grid.tile_rows;
        tile.cols =
            grid.cols - tile.col < grid.tile_cols() ? grid.cols - tile.col : grid.tile_cols();
        tile.stride = grid.tile_cols();
        tile.data = scratch + worker * grid.scratch_elements();
        if (grid.symmetric && tile.col + tile.cols <= tile.row) {
            return;
        }
        const std::int64_t first_panel = tile.col / Panel<T>::rows;
        const Block block{tile.row, tile.row + tile.rows, first_panel,
                          first_panel + panel_count<T>(tile.cols), grid.symmetric};
        multiply_block(left, right, block, 0, left.depth, tile.data, tile.stride, false);
        epilogue(tile);
    });
}

}  // namespace ipse::IPSE_ISA
