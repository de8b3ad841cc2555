// Squared distances of all points to a few of them, for choosing points one after the other.
// Made of differences, so that a copy of a pick is at exactly 0.
#pragma once

#include <cstdint>

#include "similarity/packed_points.h"

namespace ipse::IPSE_ISA {

template <class T>
class PickedDistances {
public:
    static constexpr std::int64_t block_panels = 1024 / Panel<T>::rows;
    static constexpr std::int64_t block_points = block_panels * Panel<T>::rows;

    // together: how many picks are measured at once.
    PickedDistances(const StridedMatrix& points, std::int64_t together, int threads)
        : points_(points),
          threads_(threads),
          packed_(points, threads),
          picks_(together, points.cols),
          distances_(together, padded_rows<T>(points.rows)),
          closest_(1, padded_rows<T>(points.rows)) {
        packed_.pack();
        for (std::int64_t i = 0; i < points.rows; ++i) {
            closest_[0][i] = static_cast<T>(__builtin_inf());
        }
    }

    std::int64_t blocks() const noexcept {
        return (points_.rows + block_points - 1) / block_points;
    }
    std::int64_t block_end(std::int64_t block) const noexcept {
        return points_.rows - block * block_points < block_points ? points_.rows
                                                                  : (block + 1) * block_points;
    }

    // Measures picks[0, count) and calls visit(block) once a block's distances are there.
    template <class Visit>
    void measure(const std::int64_t* picks, std::int64_t count, const Visit& visit) noexcept {
        for (std::int64_t i = 0; i < count; ++i) {
            for (std::int64_t d = 0; d < points_.cols; ++d) {
                picks_[i][d] = point_value<T>(points_, picks[i], d) - packed_.mean(d);
            }
        }
        parallel_for(blocks(), threads_, [&](std::int64_t block, int) {
            const std::int64_t last = panel_count<T>(block_end(block));
            for (std::int64_t panel = block * block_panels; panel < last; ++panel) {
                for (std::int64_t i = 0; i < count; i += 2) {
                    i + 1 < count ? measure_panel<2>(panel, i) : measure_panel<1>(panel, i);
                }
            }
            visit(block);
        });
    }

    const T* distances(std::int64_t pick) const noexcept { return distances_[pick]; }
    T* closest() const noexcept { return closest_[0]; }

private:
    template <int count>
    void measure_panel(std::int64_t panel, std::int64_t first) noexcept {
        constexpr int rows = Panel<T>::rows;
        constexpr int lanes = Simd<T>::lanes;
        constexpr int vectors = Panel<T>::vectors;
        const T* line = packed_.packed().panel(panel);
        Vector<T> sums[count][vectors] = {};
        for (std::int64_t d = 0; d < points_.cols; ++d, line += rows) {
#pragma GCC unroll 2
            for (int i = 0; i < count; ++i) {
                const Vector<T> value = broadcast(picks_[first + i][d]);
#pragma GCC unroll 4
                for (int v = 0; v < vectors; ++v) {
                    const Vector<T> apart = load(line + v * lanes) - value;
                    sums[i][v] += apart * apart;
                }
            }
        }
        for (int i = 0; i < count; ++i) {
            for (int v = 0; v < vectors; ++v) {
                store(distances_[first + i] + panel * rows + v * lanes, sums[i][v]);
            }
        }
    }

    const StridedMatrix& points_;
    int threads_;
    PackedPoints<T> packed_;
    Shares<T> picks_;
    Shares<T> distances_;
    Shares<T> closest_;
};

}  // namespace ipse::IPSE_ISA
