// The driver of a crop: some planes at a time, first along the height, then along the width.
//
// A group of planes goes panel by panel (Panel<T>::rows columns, which stay in L1) through the
// height's operator; each panel is stored transposed, so that the middle array is
// (width, planes * height_out) and the width's operator reads rows again. Its panels are
// stored transposed into the result. One thread does a group; the middle array stays in L2.
#pragma once

#include "base/parallel.h"
#include "base/shares.h"
#include "spectral/crop_plan.h"
#include "spectral/finish.h"
#include "spectral/panel_columns.h"

namespace ipse::IPSE_ISA {

template <class T>
class PlaneCrop {
public:
    explicit PlaneCrop(const CropRequest& request)
        : request_(request), plan_(request), rows_(*request.rows), columns_(*request.columns) {}

    void run() const {
        const std::int64_t sums = rows_.n_out * plan_.from.width * rows_.n_in +
                                  rows_.n_out * columns_.n_out * columns_.n_in;
        const int threads =
            useful_threads(plan_.from.images * plan_.from.channels, sums, 1, request_.threads);
        const Shares<T> scratch(threads, plan_.at.total);
        parallel_for(plan_.groups, threads, [&](std::int64_t item, int worker) {
            crop_group(item, Scratch(scratch[worker], plan_.at));
        });
    }

private:
    static constexpr int panel = Panel<T>::rows;

    struct Scratch {
        T* input;
        T* folded;
        T* results;
        T* y;
        T* lines;
        T* corners;
        T* middle;

        Scratch(T* base, const CropLayout& at) noexcept
            : input(base),
              folded(base + at.folded),
              results(base + at.results),
              y(base + at.y),
              lines(base + at.lines),
              corners(base + at.corners),
              middle(base + at.middle) {}
    };

    struct Group {
        std::int64_t image;
        std::int64_t channel;
        std::int64_t planes;

        std::int64_t offset(const Images& of) const noexcept {
            return image * of.image_stride + channel * of.channel_stride;
        }
    };

    bool has_border() const noexcept {
        return rows_.measure != nullptr && columns_.measure != nullptr;
    }

    void crop_group(std::int64_t item, const Scratch& scratch) const noexcept {
        const std::int64_t first = item % plan_.groups_in_image * plan_.group;
        const std::int64_t left = plan_.from.channels - first;
        const Group group{item / plan_.groups_in_image, first,
                          left < plan_.group ? left : plan_.group};
        visit_pixels(plan_.from.type, [&](auto pixel) {
            using S = decltype(pixel);
            const S* base = static_cast<const S*>(plan_.from.data) + group.offset(plan_.from);
            for (std::int64_t c = 0; c < group.planes * plan_.from.width; c += panel) {
                crop_height<S>(base, group, c, scratch);
            }
        });
        if (has_border()) {
            measure_planes(group, scratch);
        }
        visit_pixels(plan_.to.type, [&](auto pixel) {
            using S = decltype(pixel);
            if constexpr (sizeof(S) > 1) {  // results are floating point
                S* base = static_cast<S*>(plan_.to.data) + group.offset(plan_.to);
                if (plan_.interleaved_out) {
                    for (std::int64_t p = 0; p < rows_.n_out; p += panel) {
                        crop_width_interleaved(base, group, p, scratch);
                    }
                } else {
                    for (std::int64_t c = 0; c < group.planes * rows_.n_out; c += panel) {
                        crop_width(base, group, c, scratch);
                    }
                }
            }
        });
    }

    // Columns are (plane, w), or (w, plane) where the channels lie innermost.
    template <class S>
    void crop_height(const S* base, const Group& group, std::int64_t first,
                     const Scratch& scratch) const noexcept {
        const Images& from = plan_.from;
        const std::int64_t left = group.planes * from.width - first;
        Columns<T> source;
        Columns<T> target;
        source.count = target.count = left < panel ? static_cast<int>(left) : panel;
        T* line[panel];  // where each column's measure goes
        for (int c = 0; c < source.count; ++c) {
            const std::int64_t column = first + c;
            const std::int64_t inner = plan_.interleaved_in ? group.planes : from.width;
            const std::int64_t plane = plan_.interleaved_in ? column % inner : column / inner;
            const std::int64_t w = plan_.interleaved_in ? column / inner : column % inner;
            source.offset[c] = plane * from.channel_stride + w * from.column_stride;
            target.offset[c] = w * plan_.middle_stride + plane * rows_.n_out;
            line[c] = scratch.lines + plane * from.width + w;
        }
        source.repeat_last();
        PanelRows<const T> x{scratch.input, panel};
        // The identity stores in whole registers, which would reach past the last row.
        bool in_place = false;
        if constexpr (sizeof(S) == sizeof(T)) {
            in_place = rows_.folds != 0 && source.adjacent();
            if (in_place) {
                x = {base + source.offset[0], from.row_stride};
            }
        }
        if (!in_place) {
            read_columns<T, S>(base, from.row_stride, from.height, source, scratch.input);
        }
        if (rows_.folds != 0) {
            T measured[panel];
            apply_axis<T>(rows_, x, scratch.folded, scratch.results, {scratch.y, panel},
                          has_border() ? measured : nullptr);
            if (has_border()) {
                for (int c = 0; c < source.count; ++c) {
                    *line[c] = measured[c];
                }
            }
            x = {scratch.y, panel};
        }
        write_columns<T, T>(x, rows_.n_out, target, scratch.middle, 1);
    }

    // measure_H^T x measure_W of each plane.
    void measure_planes(const Group& group, const Scratch& scratch) const noexcept {
        const std::int64_t width = plan_.from.width;
        for (std::int64_t plane = 0; plane < group.planes; ++plane) {
            double sum = 0.0;
            for (std::int64_t w = 0; w < width; ++w) {
                sum += columns_.measure[w] * static_cast<double>(scratch.lines[plane * width + w]);
            }
            scratch.corners[plane] = static_cast<T>(sum);
        }
    }

    // Columns are (plane, p).
    template <class S>
    void crop_width(S* base, const Group& group, std::int64_t first,
                    const Scratch& scratch) const noexcept {
        const std::int64_t left = group.planes * rows_.n_out - first;
        Columns<T> target;
        target.count = left < panel ? static_cast<int>(left) : panel;
        Finish<T> finish(request_);
        for (int c = 0; c < target.count; ++c) {
            const std::int64_t plane = (first + c) / rows_.n_out;
            const std::int64_t p = (first + c) % rows_.n_out;
            target.offset[c] = plane * plan_.to.channel_stride + p * plan_.to.row_stride;
            set_finish(finish, c, group, plane, p, scratch);
        }
        const PanelRows<T> y{scratch.y, panel};
        crop_panel(scratch.middle + first, finish, y, scratch);
        write_columns<T, S>({y.data, y.stride}, columns_.n_out, target, base,
                            plan_.to.column_stride);
    }

    // Columns are the rows p.. of the result, rows are (q, plane): what belongs to one row of
    // the result is written at once.
    template <class S>
    void crop_width_interleaved(S* base, const Group& group, std::int64_t first,
                                const Scratch& scratch) const noexcept {
        const std::int64_t left = rows_.n_out - first;
        const bool together = group.planes == plan_.to.channels;
        Columns<T> target;
        target.count = left < panel ? static_cast<int>(left) : panel;
        for (int c = 0; c < target.count; ++c) {
            target.offset[c] = (first + c) * plan_.to.row_stride;
        }
        for (std::int64_t plane = 0; plane < group.planes; ++plane) {
            Finish<T> finish(request_);
            for (int c = 0; c < target.count; ++c) {
                set_finish(finish, c, group, plane, first + c, scratch);
            }
            const PanelRows<T> y{scratch.y + (together ? plane * panel : 0),
                                 together ? panel * group.planes : panel};
            crop_panel(scratch.middle + plane * rows_.n_out + first, finish, y, scratch);
            if (!together) {
                write_columns<T, S>({y.data, y.stride}, columns_.n_out, target, base + plane,
                                    plan_.to.column_stride);
            }
        }
        if (together) {
            write_columns<T, S>({scratch.y, panel}, columns_.n_out * group.planes, target, base, 1);
        }
    }

    void set_finish(Finish<T>& finish, int c, const Group& group, std::int64_t plane,
                    std::int64_t p, const Scratch& scratch) const noexcept {
        const std::int64_t channel = (group.channel + plane) % plan_.channels;
        const double border =
            has_border() ? static_cast<double>(scratch.corners[plane]) * rows_.emit[p] : 0.0;
        finish.set(c, channel, border);
    }

    void crop_panel(const T* middle, const Finish<T>& finish, PanelRows<T> y,
                    const Scratch& scratch) const noexcept {
        const PanelRows<const T> x{middle, plan_.middle_stride};
        if (columns_.folds != 0) {
            apply_axis<T>(columns_, x, scratch.folded, scratch.results, y, nullptr);
        } else {
            for (std::int64_t w = 0; w < columns_.n_out; ++w) {
                std::memcpy(y[w], x[w], panel * sizeof(T));
            }
        }
        finish.apply(columns_.n_out, has_border() ? columns_.emit : nullptr, y);
    }

    const CropRequest& request_;
    CropPlan<T> plan_;
    const AxisOperator& rows_;
    const AxisOperator& columns_;
};

}  // namespace ipse::IPSE_ISA
