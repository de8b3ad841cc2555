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
        // Neighbouring groups are one item: each fetches the next one's pixels.
        const std::int64_t share = plan_.groups / (8 * threads) + 1;
        parallel_for((plan_.groups + share - 1) / share, threads,
                     [&](std::int64_t item, int worker) {
                         const std::int64_t end = smaller((item + 1) * share, plan_.groups);
                         crop_groups(item * share, end, Scratch(scratch[worker], plan_.at));
                     });
    }

private:
    static constexpr int panel = Panel<T>::rows;

    struct Scratch {
        T* input;
        AxisScratch<T> axis;
        T* y;
        T* lines;
        T* corners;
        T* middle;

        Scratch(T* base, const CropLayout& at) noexcept
            : input(base),
              axis{base + at.folded, base + at.results},
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

    static std::int64_t smaller(std::int64_t a, std::int64_t b) noexcept { return a < b ? a : b; }

    Group group_at(std::int64_t index) const noexcept {
        const std::int64_t first = index % plan_.groups_in_image * plan_.group;
        return {index / plan_.groups_in_image, first,
                smaller(plan_.group, plan_.from.channels - first)};
    }

    void crop_groups(std::int64_t begin, std::int64_t end, const Scratch& scratch) const noexcept {
        pixels_of(group_at(begin)).fetch();
        for (std::int64_t index = begin; index < end; ++index) {
            const Group group = group_at(index);
            visit_pixels(plan_.from.type,
                         [&](auto pixel) { crop_heights<decltype(pixel)>(group, scratch); });
            if (has_border()) {
                measure_planes(group, scratch);
            }
            const Lines next = index + 1 < end ? pixels_of(group_at(index + 1)) : Lines{};
            visit_pixels(plan_.to.type, [&](auto pixel) {
                if constexpr (sizeof(pixel) > 1) {  // results are floating point
                    crop_widths<decltype(pixel)>(group, next, scratch);
                }
            });
        }
    }

    // The pixels of a group, where they are one piece of memory that is at home in L2.
    Lines pixels_of(const Group& group) const noexcept {
        constexpr std::int64_t most = 512 * 1024;
        const Images& from = plan_.from;
        const std::int64_t plane = from.height * from.width;
        const bool planar = from.column_stride == 1 && from.row_stride == from.width &&
                            (from.channel_stride == plane || group.planes == 1);
        const bool pixels = plan_.interleaved_in && from.column_stride == group.planes &&
                            from.row_stride == from.width * group.planes;
        const std::int64_t bytes = group.planes * plane * plan_.pixel_bytes;
        if ((!planar && !pixels) || bytes > most) {
            return {};
        }
        const auto* data = static_cast<const char*>(from.data);
        return Lines::of(data + group.offset(from) * plan_.pixel_bytes, bytes);
    }

    template <class S>
    void crop_heights(const Group& group, const Scratch& scratch) const noexcept {
        const S* base = static_cast<const S*>(plan_.from.data) + group.offset(plan_.from);
        const std::int64_t count = group.planes * plan_.from.width;
        for (std::int64_t first = 0; first < count; first += panel) {
            crop_height<S>(base, count, first, scratch);
        }
    }

    template <class S>
    void crop_widths(const Group& group, const Lines& next, const Scratch& scratch) const noexcept {
        S* base = static_cast<S*>(plan_.to.data) + group.offset(plan_.to);
        const std::int64_t count = plan_.interleaved_out ? rows_.n_out : group.planes * rows_.n_out;
        const std::int64_t panels = (count + panel - 1) / panel;
        for (std::int64_t i = 0; i < panels; ++i) {
            if (plan_.interleaved_out) {
                crop_width_interleaved(base, group, i * panel, next.share(i, panels), scratch);
            } else {
                crop_width(base, group, i * panel, next.share(i, panels), scratch);
            }
        }
    }

    // One panel of columns of the image (plan_.source) to columns of the middle array.
    template <class S>
    void crop_height(const S* base, std::int64_t count, std::int64_t first,
                     const Scratch& scratch) const noexcept {
        const Images& from = plan_.from;
        const int present = count - first < panel ? static_cast<int>(count - first) : panel;
        const Columns source{plan_.source() + first, present};
        PanelRows<const T> x{scratch.input, panel};
        // The identity stores in whole registers, which would reach past the last row.
        bool in_place = false;
        if constexpr (sizeof(S) == sizeof(T)) {
            in_place = !rows_.identity && source.run(0) == panel;
            if (in_place) {
                x = {base + source.offset[0], from.row_stride};
            }
        }
        if (!in_place) {
            read_columns<T, S>(base, from.row_stride, from.height, source, scratch.input);
        }
        if (!rows_.identity) {
            T measured[panel];
            AxisPanel<T>(rows_, scratch.axis)
                .apply(x, {scratch.y, panel}, has_border() ? measured : nullptr, {});
            if (has_border()) {
                for (int c = 0; c < present; ++c) {
                    scratch.lines[plan_.line()[first + c]] = measured[c];
                }
            }
            x = {scratch.y, panel};
        }
        write_columns<T, T>(x, rows_.n_out, {plan_.middle() + first, present}, present,
                            scratch.middle, 1);
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

    // One panel of columns (plane, p) of the middle array to rows p of the result.
    template <class S>
    void crop_width(S* base, const Group& group, std::int64_t first, const Lines& next,
                    const Scratch& scratch) const noexcept {
        const std::int64_t left = group.planes * rows_.n_out - first;
        const int present = left < panel ? static_cast<int>(left) : panel;
        Finish<T> finish(request_);
        std::int64_t plane = first / rows_.n_out;
        std::int64_t p = first - plane * rows_.n_out;
        for (int c = 0; c < present && wants_finish(); ++plane, p = 0) {
            const auto rest =
                static_cast<int>(rows_.n_out - p < present ? rows_.n_out - p : present);
            const int end = c + rest < present ? c + rest : present;
            set_finish(finish, c, end, group, plane, p, scratch);
            c = end;
        }
        const PanelRows<T> y{scratch.y, panel};
        crop_panel(scratch.middle + first, finish, y, next, scratch);
        const int whole = stored_whole(left, present, columns_.n_out);
        write_columns<T, S>({y.data, y.stride}, columns_.n_out, {plan_.target() + first, present},
                            whole, base, plan_.to.column_stride);
    }

    // Columns are the rows p.. of the result, rows are (q, plane): what belongs to one row of
    // the result is written at once.
    template <class S>
    void crop_width_interleaved(S* base, const Group& group, std::int64_t first, const Lines& next,
                                const Scratch& scratch) const noexcept {
        const std::int64_t left = rows_.n_out - first;
        const int present = left < panel ? static_cast<int>(left) : panel;
        const int whole = stored_whole(left, present, columns_.n_out * group.planes);
        const bool together = group.planes == plan_.to.channels;
        const Columns target{plan_.target() + first, present};
        for (std::int64_t plane = 0; plane < group.planes; ++plane) {
            Finish<T> finish(request_);
            if (wants_finish()) {
                set_finish(finish, 0, present, group, plane, first, scratch);
            }
            const PanelRows<T> y{scratch.y + (together ? plane * panel : 0),
                                 together ? panel * group.planes : panel};
            crop_panel(scratch.middle + plane * rows_.n_out + first, finish, y,
                       next.share(plane, group.planes), scratch);
            if (!together) {
                write_columns<T, S>({y.data, y.stride}, columns_.n_out, target, 0, base + plane,
                                    plan_.to.column_stride);
            }
        }
        if (together) {
            write_columns<T, S>({scratch.y, panel}, columns_.n_out * group.planes, target, whole,
                                base, 1);
        }
    }

    // Columns of a panel after which the group still has a register's worth of results.
    static int stored_whole(std::int64_t left, int present, std::int64_t row) noexcept {
        const std::int64_t whole = left - (Simd<T>::lanes + row - 1) / row;
        return whole < 0 ? 0 : (whole < present ? static_cast<int>(whole) : present);
    }

    bool wants_finish() const noexcept {
        return has_border() || request_.scale != nullptr || request_.shift != nullptr;
    }

    // Columns [begin, end) of a panel show rows p.. of one plane.
    void set_finish(Finish<T>& finish, int begin, int end, const Group& group, std::int64_t plane,
                    std::int64_t p, const Scratch& scratch) const noexcept {
        finish.set_channel(begin, end, (group.channel + plane) % plan_.channels);
        if (has_border()) {
            finish.set_border(begin, end, static_cast<double>(scratch.corners[plane]),
                              rows_.emit + p);
        }
    }

    void crop_panel(const T* middle, const Finish<T>& finish, PanelRows<T> y, const Lines& next,
                    const Scratch& scratch) const noexcept {
        const PanelRows<const T> x{middle, plan_.middle_stride};
        if (!columns_.identity) {
            AxisPanel<T>(columns_, scratch.axis).apply(x, y, nullptr, next);
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
