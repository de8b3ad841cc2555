// The k most similar columns of every row, without the similarity matrix.
//
// A worker takes a block of rows and walks its tiles from the first column to the last; each
// row keeps a Selection. With few rows the columns are cut into ranges, too, and the ranges'
// best are merged: the order of (value, column) is total, so no cut changes the result.
#pragma once

#include <cstdint>

#include "base/multiply.h"
#include "base/parallel.h"
#include "base/shares.h"
#include "similarity/pack_rows.h"
#include "similarity/selection.h"

namespace ipse::IPSE_ISA {

inline bool allows(const ColumnFilter& filter, std::int64_t row, std::int64_t column) noexcept {
    return (filter.row_ids == nullptr || filter.row_ids[row] != filter.column_ids[column]) &&
           (filter.row_labels == nullptr || filter.row_labels[row] == filter.column_labels[column]);
}

// How M x K is cut, and what that takes.
template <class T>
struct TopkPlan {
    static constexpr std::int64_t tile_panels = 256 / Panel<T>::rows;
    static constexpr std::int64_t tile_columns = tile_panels * Panel<T>::rows;

    std::int64_t rows;
    std::int64_t columns;
    std::int64_t k;
    std::int64_t block_rows;  // whole panels
    std::int64_t ranges;      // of columns
    bool packed_ahead;        // the columns serve several blocks of rows

    TopkPlan(std::int64_t row_count, std::int64_t column_count, std::int64_t best,
             int threads) noexcept
        : rows(row_count), columns(column_count), k(best) {
        // Blocks of 128 rows, smaller where the buffers of so many rows would leave L2 or the
        // matrix has too few tiles for the threads.
        std::int64_t panels = padded_rows<T>(128) / Panel<T>::rows;
        panels = panel_count<T>(rows) < panels ? panel_count<T>(rows) : panels;
        while (panels > 1 && (panels * Panel<T>::rows * capacity() > 128 * 1024 ||
                              blocks(panels) * tiles() < 2 * threads)) {
            panels = (panels + 1) / 2;
        }
        block_rows = panels * Panel<T>::rows;
        const std::int64_t wanted = (4 * threads - 1) / blocks(panels) + 1;
        ranges = blocks(panels) >= 4 * threads ? 1 : (wanted < tiles() ? wanted : tiles());
        packed_ahead = blocks(panels) > 1;
    }

    std::int64_t blocks() const noexcept { return (rows + block_rows - 1) / block_rows; }
    std::int64_t tiles() const noexcept { return (columns + tile_columns - 1) / tile_columns; }
    // A cut every 2 k entries: measured, fewer cuts win nothing and leave the limit lower.
    std::int64_t capacity() const noexcept { return 2 * k + tile_columns; }

private:
    std::int64_t blocks(std::int64_t panels) const noexcept {
        return (rows + panels * Panel<T>::rows - 1) / (panels * Panel<T>::rows);
    }
};

template <class T>
class Topk {
public:
    explicit Topk(const TopkRequest& request)
        : request_(request),
          depth_(packed_depth(request.metric, request.x.cols)),
          threads_(useful_threads(request.x.rows, request.y.rows, depth_ + 1, request.threads)),
          plan_(request.x.rows, request.y.rows, request.k, threads_),
          columns_(1, plan_.packed_ahead ? PackedMatrix<T>::elements(plan_.columns, depth_) : 0),
          rows_(threads_, plan_.block_rows * depth_),
          tile_columns_(threads_, plan_.packed_ahead ? 0 : plan_.tile_columns * depth_),
          tiles_(threads_, (plan_.block_rows + Panel<T>::strip) * plan_.tile_columns),
          squares_(1, padded_rows<T>(plan_.rows)),
          keys_(threads_, (plan_.block_rows + 1) * plan_.capacity()),
          positions_(threads_, (plan_.block_rows + 1) * plan_.capacity()),
          selections_(threads_, plan_.block_rows),
          found_keys_(1, plan_.ranges > 1 ? plan_.ranges * plan_.rows * plan_.k : 0),
          found_columns_(1, plan_.ranges > 1 ? plan_.ranges * plan_.rows * plan_.k : 0),
          found_(1, plan_.ranges > 1 ? plan_.ranges * plan_.rows : 0) {}

    void run() noexcept {
        if (plan_.packed_ahead) {
            const PackedMatrix<T> packed{columns_[0], plan_.columns, depth_};
            parallel_for(panel_count<T>(plan_.columns), threads_, [&](std::int64_t index, int) {
                pack_rows<T>(request_.y, request_.metric, Operand::column, index,
                             packed.panel(index), nullptr);
            });
        }
        parallel_for(plan_.blocks() * plan_.ranges, threads_, [&](std::int64_t item, int worker) {
            search(item / plan_.ranges, item % plan_.ranges, worker);
        });
        if (plan_.ranges > 1) {
            parallel_for(plan_.rows, threads_,
                         [&](std::int64_t row, int worker) { join_ranges(row, worker); });
        }
    }

private:
    Selection<T> empty_selection(std::int64_t slot, int worker) const noexcept {
        Selection<T> selection;
        selection.keys = keys_[worker] + slot * plan_.capacity();
        selection.columns = positions_[worker] + slot * plan_.capacity();
        return selection;
    }

    // The best of one block of rows in one range of columns.
    void search(std::int64_t block, std::int64_t range, int worker) noexcept {
        const std::int64_t first_row = block * plan_.block_rows;
        const std::int64_t end_row =
            plan_.rows - first_row < plan_.block_rows ? plan_.rows : first_row + plan_.block_rows;
        const PackedMatrix<T> left{rows_[worker], end_row - first_row, depth_};
        for (std::int64_t p = 0; p < panel_count<T>(left.rows); ++p) {
            const std::int64_t panel = first_row / Panel<T>::rows + p;
            // Every range computes the same squares of its rows; one of them keeps them.
            T* squares = range == 0 ? squares_[0] + panel * Panel<T>::rows : nullptr;
            pack_rows<T>(request_.x, request_.metric, Operand::row, panel, left.panel(p), squares);
        }
        for (std::int64_t i = 0; i < left.rows; ++i) {
            selections_[worker][i] = empty_selection(i, worker);
        }
        const std::int64_t end_tile = plan_.tiles() * (range + 1) / plan_.ranges;
        for (std::int64_t tile = plan_.tiles() * range / plan_.ranges; tile < end_tile; ++tile) {
            offer_tile(left, first_row, tile, worker);
        }
        for (std::int64_t i = 0; i < left.rows; ++i) {
            Selection<T>& selection = selections_[worker][i];
            selection.cut_back(plan_.k);
            if (plan_.ranges == 1) {
                deliver(first_row + i, selection, worker);
            } else {
                keep(first_row + i, range, selection);
            }
        }
    }

    void offer_tile(const PackedMatrix<T>& left, std::int64_t first_row, std::int64_t tile,
                    int worker) noexcept {
        const std::int64_t column = tile * plan_.tile_columns;
        const std::int64_t columns = plan_.columns - column < plan_.tile_columns
                                         ? plan_.columns - column
                                         : plan_.tile_columns;
        const std::int64_t panels = panel_count<T>(columns);
        const std::int64_t first_panel = tile * plan_.tile_panels;
        PackedMatrix<T> right{columns_[0] + first_panel * Panel<T>::rows * depth_, columns, depth_};
        if (!plan_.packed_ahead) {
            right.data = tile_columns_[worker];
            for (std::int64_t p = 0; p < panels; ++p) {
                pack_rows<T>(request_.y, request_.metric, Operand::column, first_panel + p,
                             right.panel(p), nullptr);
            }
        }
        T* scores = tiles_[worker];
        multiply_block(left, right, Block{0, left.rows, 0, panels}, 0, depth_, scores,
                       plan_.tile_columns, false);
        for (std::int64_t i = 0; i < left.rows; ++i) {
            Selection<T>& selection = selections_[worker][i];
            if (selection.count + columns > plan_.capacity()) {
                selection.cut_back(plan_.k);
            }
            const T* line = scores + i * plan_.tile_columns;
            if (request_.filter.row_ids == nullptr && request_.filter.row_labels == nullptr) {
                selection.offer(line, columns, column, [](std::int64_t) { return true; });
            } else {
                selection.offer(line, columns, column, [&](std::int64_t j) {
                    return allows(request_.filter, first_row + i, j);
                });
            }
        }
    }

    void keep(std::int64_t row, std::int64_t range, const Selection<T>& selection) noexcept {
        const std::int64_t slot = row * plan_.ranges + range;
        found_[0][slot] = selection.count;
        for (std::int64_t i = 0; i < selection.count; ++i) {
            found_keys_[0][slot * plan_.k + i] = selection.keys[i];
            found_columns_[0][slot * plan_.k + i] = selection.columns[i];
        }
    }

    // Ranges come in column order and so do the entries of each.
    void join_ranges(std::int64_t row, int worker) noexcept {
        Selection<T> selection = empty_selection(0, worker);
        for (std::int64_t range = 0; range < plan_.ranges; ++range) {
            const std::int64_t slot = row * plan_.ranges + range;
            for (std::int64_t i = 0; i < found_[0][slot]; ++i) {
                selection.append(found_keys_[0][slot * plan_.k + i],
                                 found_columns_[0][slot * plan_.k + i]);
            }
            selection.cut_back(plan_.k);
        }
        deliver(row, selection, worker);
    }

    void deliver(std::int64_t row, Selection<T>& selection, int worker) noexcept {
        const Selection<T> spare = empty_selection(plan_.block_rows, worker);
        selection.sort(spare.keys, spare.columns);
        T* values = static_cast<T*>(request_.values.data) + row * plan_.k;
        std::int64_t* indices = request_.indices + row * plan_.k;
        const bool distance = request_.metric == Metric::l2;
        const T square = squares_[0][row];
        for (std::int64_t i = 0; i < selection.count; ++i) {
            const T score = value_of<T>(selection.keys[i]);
            const T apart = square - score < 0 ? T{0} : square - score;  // NaN stays
            values[i] = distance ? apart : score;
            indices[i] = selection.columns[i];
        }
        for (std::int64_t i = selection.count; i < plan_.k; ++i) {
            values[i] = static_cast<T>(distance ? __builtin_inf() : -__builtin_inf());
            indices[i] = -1;
        }
    }

    const TopkRequest& request_;
    std::int64_t depth_;
    int threads_;
    TopkPlan<T> plan_;
    Shares<T> columns_;
    Shares<T> rows_;
    Shares<T> tile_columns_;
    Shares<T> tiles_;
    Shares<T> squares_;
    Shares<Key<T>> keys_;
    Shares<std::int32_t> positions_;
    Shares<Selection<T>> selections_;
    Shares<Key<T>> found_keys_;
    Shares<std::int32_t> found_columns_;
    Shares<std::int64_t> found_;
};

}  // namespace ipse::IPSE_ISA
