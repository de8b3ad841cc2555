// How the matrix of similarities is cut into tiles, which thread computes which, and what a
// tile's entries stand for. Used by every pass over the similarities.
#pragma once

#include <cstdint>
#include <limits>

#include "base/multiply.h"
#include "base/panels.h"
#include "similarity/softmax_requests.h"
#include "similarity/unit_rows.h"

namespace ipse::IPSE_ISA {

// Columns of a tile at most, and the distance of its rows: one cache line more, since the
// gradient reads tiles by columns too and a power of two would thrash the L1 cache.
constexpr std::int64_t tile_columns = 256;
template <class T>
constexpr std::int64_t tile_stride = tile_columns + 64 / static_cast<std::int64_t>(sizeof(T));

// An entry that does not take part. No similarity of finite rows is the largest number.
template <class T>
constexpr T hidden_entry = std::numeric_limits<T>::max();

template <class T>
struct SimilarityTile {
    std::int64_t row;
    std::int64_t col;
    std::int64_t rows;
    std::int64_t cols;
    T* data;

    T* line(std::int64_t i) const noexcept { return data + i * tile_stride<T>; }
    std::int64_t vectors() const noexcept { return (cols + Simd<T>::lanes - 1) / Simd<T>::lanes; }
};

// The tiles in a fixed order, dealt to `slots` in contiguous shares. What a slot adds up
// depends on the plan alone, so results do not depend on which thread ran it.
template <class T>
class TilePlan {
public:
    // Accumulators are kept for each slot: more slots balance better and cost more memory.
    static constexpr int most_slots = 16;

    // upper: visit only tiles that reach above the diagonal of a square matrix.
    TilePlan(std::int64_t rows, std::int64_t cols, bool upper, int threads) noexcept
        : rows_(rows), cols_(cols), upper_(upper) {
        int wanted = threads > 1 ? 2 * threads : 1;
        wanted = wanted > most_slots ? most_slots : wanted;
        while (visited() < 8 * wanted && (tile_rows_ > 32 || tile_panels_ > 2)) {
            if (2 * tile_rows_ > tile_panels_ * Panel<T>::rows || tile_panels_ <= 2) {
                tile_rows_ /= 2;
            } else {
                tile_panels_ = (tile_panels_ + 1) / 2;
            }
        }
        const std::int64_t count = visited();
        slots_ = count < wanted ? static_cast<int>(count) : wanted;
    }

    int slots() const noexcept { return slots_; }
    bool upper() const noexcept { return upper_; }

    static constexpr std::int64_t scratch_elements() noexcept {
        return (128 + Panel<T>::strip) * tile_stride<T>;
    }

    // Where the tiles of a row of tiles begin.
    std::int64_t first_column(std::int64_t row) const noexcept {
        return upper_ ? row / tile_cols() * tile_cols() : 0;
    }

    // Rows [first, last) that the tiles of a slot touch.
    void slot_rows(int slot, std::int64_t& first, std::int64_t& last) const noexcept {
        const std::int64_t begin = visited() * slot / slots_;
        const std::int64_t end = visited() * (slot + 1) / slots_;
        first = rows_;
        last = 0;
        std::int64_t number = 0;
        for (std::int64_t row = 0; row < rows_; row += tile_rows_) {
            const std::int64_t before = number;
            number += tiles_in_row(row);
            if (before < end && number > begin) {
                first = row < first ? row : first;
                last = row + tile_rows_ < rows_ ? row + tile_rows_ : rows_;
            }
        }
    }

    // Calls visit(tile) for each tile of a slot, similarities filled in.
    template <class Visit>
    void run_slot(int slot, const UnitRows<T>& left, const UnitRows<T>& right, T* scratch,
                  const Visit& visit) const noexcept {
        const std::int64_t count = visited();
        const std::int64_t begin = count * slot / slots_;
        const std::int64_t end = count * (slot + 1) / slots_;
        std::int64_t number = 0;
        for (std::int64_t row = 0; row < rows_; row += tile_rows_) {
            for (std::int64_t col = first_column(row); col < cols_; col += tile_cols()) {
                if (number >= begin && number < end) {
                    visit(compute(row, col, left, right, scratch));
                }
                ++number;
            }
        }
    }

private:
    std::int64_t tile_cols() const noexcept { return tile_panels_ * Panel<T>::rows; }

    std::int64_t visited() const noexcept {
        std::int64_t count = 0;
        for (std::int64_t row = 0; row < rows_; row += tile_rows_) {
            count += tiles_in_row(row);
        }
        return count;
    }

    std::int64_t tiles_in_row(std::int64_t row) const noexcept {
        return (cols_ - first_column(row) + tile_cols() - 1) / tile_cols();
    }

    SimilarityTile<T> compute(std::int64_t row, std::int64_t col, const UnitRows<T>& left,
                              const UnitRows<T>& right, T* scratch) const noexcept {
        const std::int64_t rows = rows_ - row < tile_rows_ ? rows_ - row : tile_rows_;
        const std::int64_t cols = cols_ - col < tile_cols() ? cols_ - col : tile_cols();
        const std::int64_t panel = col / Panel<T>::rows;
        const Block block{row, row + rows, panel, panel + panel_count<T>(cols), upper_};
        multiply_block(left.packed(), right.packed(), block, 0, left.depth(), scratch,
                       tile_stride<T>, false);
        return {row, col, rows, cols, scratch};
    }

    std::int64_t rows_;
    std::int64_t cols_;
    bool upper_;
    std::int64_t tile_rows_ = 128;
    std::int64_t tile_panels_ = tile_columns / Panel<T>::rows;
    int slots_ = 1;
};

// Which entries are hidden and which are positives.
class Pattern {
public:
    explicit Pattern(const SoftmaxRequest& request) noexcept
        : symmetric_(request.columns.parts == 0),
          exclude_(request.exclude),
          samples_(request.samples) {}

    bool symmetric() const noexcept { return symmetric_; }

    // Overwrites what does not take part, padding included; false where nothing was.
    template <class T>
    bool hide(const SimilarityTile<T>& tile) const noexcept {
        const std::int64_t padded = tile.vectors() * Simd<T>::lanes;
        bool any = padded > tile.cols;
        for (std::int64_t i = 0; i < tile.rows && any; ++i) {
            fill(tile.line(i), tile.cols, padded);
        }
        if (symmetric_ && tile.col <= tile.row + tile.rows - 1) {
            // The lower triangle and the diagonal: each pair is visited once, above.
            any = true;
            for (std::int64_t i = 0; i < tile.rows; ++i) {
                const std::int64_t below = tile.row + i + 1 - tile.col;
                fill(tile.line(i), 0, below < tile.cols ? below : tile.cols);
            }
        } else if (exclude_ == Exclude::self) {
            for (std::int64_t i = 0; i < tile.rows; ++i) {
                const std::int64_t own = tile.row + i - tile.col;
                if (own >= 0 && own < tile.cols) {
                    tile.line(i)[own] = hidden_entry<T>;
                    any = true;
                }
            }
        }
        if (exclude_ == Exclude::sample) {
            for_same_sample(tile, [&](std::int64_t i, std::int64_t j) {
                tile.line(i)[j] = hidden_entry<T>;
                any = true;
            });
        }
        return any;
    }

    // Calls visit(i, j), places within the tile, for each entry of a positive pair.
    template <class T, class Visit>
    void for_positives(const SimilarityTile<T>& tile, const Visit& visit) const noexcept {
        if (samples_ == 0) {
            return;
        }
        for_same_sample(tile, [&](std::int64_t i, std::int64_t j) {
            if (exclude_ != Exclude::self || tile.row + i != tile.col + j) {
                visit(i, j);
            }
        });
    }

private:
    template <class T>
    static void fill(T* line, std::int64_t begin, std::int64_t end) noexcept {
        for (std::int64_t j = begin; j < end; ++j) {
            line[j] = hidden_entry<T>;
        }
    }

    template <class T, class Visit>
    void for_same_sample(const SimilarityTile<T>& tile, const Visit& visit) const noexcept {
        for (std::int64_t i = 0; i < tile.rows; ++i) {
            const std::int64_t row = tile.row + i;
            // The first column of the row's sample in this tile; in the symmetric case above
            // the diagonal.
            std::int64_t first = tile.col;
            if (symmetric_ && first <= row) {
                first = row + 1;
            }
            const std::int64_t away = (row - first) % samples_;
            first += away < 0 ? away + samples_ : away;
            for (std::int64_t col = first; col < tile.col + tile.cols; col += samples_) {
                visit(i, col - tile.col);
            }
        }
    }

    bool symmetric_;
    Exclude exclude_;
    std::int64_t samples_;
};

}  // namespace ipse::IPSE_ISA
