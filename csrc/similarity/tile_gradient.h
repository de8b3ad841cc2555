// Multiplies tiles of derivatives out into the gradients of both sides.
#pragma once

#include <cstdint>

#include "base/multiply.h"
#include "base/parallel.h"
#include "base/workspace.h"
#include "similarity/tile_product.h"
#include "similarity/tiles.h"
#include "similarity/unit_rows.h"

namespace ipse::IPSE_ISA {

// Gradients by the unit rows, added up separately in each slot: for the rows that its tiles
// touch and for all columns, or, where rows and columns are one, for all from its first on.
template <class T>
class TileGradient {
public:
    TileGradient(const UnitRows<T>& left, const UnitRows<T>& right, const TilePlan<T>& plan,
                 bool want_left, bool want_right)
        : left_(left),
          right_(right),
          slots_(plan.slots()),
          symmetric_(plan.upper()),
          want_left_(want_left),
          want_right_(want_right && !symmetric_),
          width_(left.padded_depth()) {
        std::int64_t total = 0;
        for (int slot = 0; slot < slots_; ++slot) {
            Part& rows = rows_[slot];
            plan.slot_rows(slot, rows.first, rows.last);
            if (symmetric_) {  // a tile on the diagonal may begin left of its first row
                rows.first = plan.first_column(rows.first);
                rows.last = left.rows();
            }
            columns_[slot].last = right.rows();
            total += place(rows, want_left_, total);
            total += place(columns_[slot], want_right_, total);
        }
        sums_ = Workspace::elements(total, sizeof(T));
    }

    void clear(int slot) const noexcept {
        for (const Part& part : {rows_[slot], columns_[slot]}) {
            T* to = data() + part.offset;
            for (std::int64_t i = 0; i < part.elements; ++i) {
                to[i] = T{0};
            }
        }
    }

    void add(const SimilarityTile<T>& tile, int slot) const noexcept {
        const Part& rows = rows_[slot];
        const Part& columns = symmetric_ ? rows : columns_[slot];
        if (want_left_) {
            multiply_tile(tile.data, TileByRows<T>{}, tile.rows, tile.cols, right_.line(tile.col),
                          right_.leading(), line(rows, tile.row), width_);
        }
        if (symmetric_ ? want_left_ : want_right_) {
            multiply_tile(tile.data, TileByColumns<T>{}, tile.cols, tile.rows, left_.line(tile.row),
                          left_.leading(), line(columns, tile.col), width_);
        }
    }

    // Adds the slots' sums up and hands each row to its side.
    void write(const Stack& grad_left, const Stack& grad_right, int threads) const noexcept {
        if (want_left_) {
            write_side(left_, rows_, grad_left, threads);
        }
        if (want_right_) {
            write_side(right_, columns_, grad_right, threads);
        }
    }

private:
    // Lines [first, last) of one side, kept from element `offset` on.
    struct Part {
        std::int64_t first = 0;
        std::int64_t last = 0;
        std::int64_t offset = 0;
        std::int64_t elements = 0;
    };

    std::int64_t place(Part& part, bool wanted, std::int64_t offset) const noexcept {
        part.offset = offset;
        // Strips and panels overhang the last line.
        part.elements = wanted ? (part.last - part.first + 2 * Panel<T>::rows) * width_ : 0;
        return part.elements;
    }

    T* data() const noexcept { return static_cast<T*>(sums_.data()); }

    T* line(const Part& part, std::int64_t row) const noexcept {
        return data() + part.offset + (row - part.first) * width_;
    }

    void write_side(const UnitRows<T>& side, const Part* parts, const Stack& to,
                    int threads) const noexcept {
        parallel_for(panel_count<T>(side.rows()), threads, [&](std::int64_t panel, int) {
            const std::int64_t first = panel * Panel<T>::rows;
            const std::int64_t last =
                side.rows() < first + Panel<T>::rows ? side.rows() : first + Panel<T>::rows;
            for (std::int64_t row = first; row < last; ++row) {
                side.write_gradient(row, total(parts, row, side.depth()), to);
            }
        });
    }

    // The sum over the slots, in the first one that has the row: every row is in one.
    const T* total(const Part* parts, std::int64_t row, std::int64_t depth) const noexcept {
        T* sum = nullptr;
        for (int slot = 0; slot < slots_; ++slot) {
            if (row < parts[slot].first || row >= parts[slot].last) {
                continue;
            }
            T* const other = line(parts[slot], row);
            if (sum == nullptr) {
                sum = other;
                continue;
            }
            for (std::int64_t d = 0; d < depth; ++d) {
                sum[d] += other[d];
            }
        }
        return sum;
    }

    const UnitRows<T>& left_;
    const UnitRows<T>& right_;
    int slots_;
    bool symmetric_;
    bool want_left_;
    bool want_right_;
    std::int64_t width_;
    Part rows_[TilePlan<T>::most_slots];
    Part columns_[TilePlan<T>::most_slots];
    Workspace sums_;
};

}  // namespace ipse::IPSE_ISA
