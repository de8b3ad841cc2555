// How a crop is cut into groups of planes, and where a thread's scratch memory lies.
#pragma once

#include <cstdint>

#include "base/panels.h"
#include "base/workspace.h"
#include "spectral/panel_columns.h"

namespace ipse::IPSE_ISA {

// Offsets in elements from the start of a thread's scratch.
struct CropLayout {
    std::int64_t folded = 0;
    std::int64_t results = 0;
    std::int64_t y = 0;
    std::int64_t lines = 0;    // measure along the height of each (plane, w)
    std::int64_t corners = 0;  // ... and along both axes, of each plane
    std::int64_t middle = 0;
    std::int64_t total = 0;
};

template <class T>
struct CropPlan {
    Images from;
    Images to;
    std::int64_t channels = 0;    // of one image: scale and shift repeat after so many planes
    bool interleaved_in = false;  // the channels of a pixel are neighbours in memory
    bool interleaved_out = false;
    std::int64_t group = 1;  // planes
    std::int64_t groups_in_image = 1;
    std::int64_t groups = 1;
    std::int64_t middle_stride = 0;
    std::int64_t pixel_bytes = 0;  // of the input
    CropLayout at;

    explicit CropPlan(const CropRequest& request)
        : from(request.from), to(request.to), channels(request.from.channels) {
        join_images();
        choose_groups(*request.rows, request.threads);
        lay_out(*request.rows, *request.columns);
        place_columns(*request.rows);
        visit_pixels(from.type, [&](auto pixel) { pixel_bytes = sizeof(pixel); });
    }

    // Where the columns of a whole group begin: in the image, in the middle array, in the
    // lines of measures, and in the result.
    const std::int64_t* source() const noexcept { return offsets(0); }
    const std::int64_t* middle() const noexcept { return offsets(1); }
    const std::int64_t* line() const noexcept { return offsets(2); }
    const std::int64_t* target() const noexcept { return offsets(3); }

private:
    static constexpr int panel = Panel<T>::rows;

    static bool evenly_spaced(const Images& images) noexcept {
        return images.images == 1 || images.image_stride == images.channels * images.channel_stride;
    }

    // Images whose planes follow each other evenly are one image of many channels.
    void join_images() noexcept {
        if (evenly_spaced(from) && evenly_spaced(to)) {
            for (Images* images : {&from, &to}) {
                images->channels *= images->images;
                images->images = 1;
            }
        }
        interleaved_in = from.channel_stride == 1 && from.channels > 1;
        interleaved_out =
            to.channel_stride == 1 && to.column_stride == to.channels && to.channels > 1;
    }

    // Enough planes for full panels, few enough that the middle array stays in L2 and that
    // the groups are shared evenly.
    void choose_groups(const AxisOperator& rows, int threads) noexcept {
        constexpr std::int64_t budget = 32 * 1024 / static_cast<std::int64_t>(sizeof(T));
        if (interleaved_in || interleaved_out) {
            // A pixel's channels are read and written together: all of them, or an even share.
            group = from.channels < 16 ? from.channels : 16;
            while (from.channels % group != 0) {
                --group;
            }
        } else {
            const std::int64_t fitting = budget / (from.width * rows.n_out) + 1;
            const std::int64_t share = from.images * from.channels / (4 * threads) + 1;
            const std::int64_t most = fitting < share ? fitting : share;
            group = most < from.channels ? most : from.channels;
        }
        groups_in_image = (from.channels + group - 1) / group;
        groups = groups_in_image * from.images;
    }

    void lay_out(const AxisOperator& rows, const AxisOperator& columns) noexcept {
        constexpr std::int64_t lanes = Simd<T>::lanes;
        constexpr std::int64_t strip = Panel<T>::strip;
        const std::int64_t together = interleaved_out ? group : 1;
        const auto larger = [](std::int64_t a, std::int64_t b) { return a > b ? a : b; };
        const auto whole = [](std::int64_t count) { return (count + 15) / 16 * 16; };
        at.folded = panel * (larger(rows.n_in, columns.n_in) + lanes);
        at.results = at.folded + panel * larger(rows.folded_rows, columns.folded_rows);
        at.y = at.results + panel * larger(rows.result_rows, columns.result_rows);
        at.lines = at.y + panel * (larger(rows.n_out, columns.n_out * together) + strip * together +
                                   lanes);
        at.corners = at.lines + whole(group * from.width);
        at.middle = at.corners + whole(group);
        // An odd number of lines: rows of a power of two would share few sets of the caches.
        // Whole registers are stored at its end.
        middle_stride = whole(group * rows.n_out + lanes);
        middle_stride += middle_stride / 16 % 2 == 0 ? 16 : 0;
        // The last panel is read in whole registers.
        at.total = at.middle + middle_stride * from.width + panel;
    }

    std::int64_t* offsets(int table) const noexcept {
        return static_cast<std::int64_t*>(columns_.data()) + table * group * from.width;
    }

    // Columns of the height are (plane, w), or (w, plane) where the channels lie innermost.
    // Columns of the width are (plane, p), or p alone where a result's channels do.
    void place_columns(const AxisOperator& rows) {
        const std::int64_t results = interleaved_out ? rows.n_out : group * rows.n_out;
        columns_ = Workspace::elements(3 * group * from.width + results, sizeof(std::int64_t));
        std::int64_t c = 0;
        const std::int64_t outer = interleaved_in ? from.width : group;
        const std::int64_t inner = interleaved_in ? group : from.width;
        for (std::int64_t i = 0; i < outer; ++i) {
            for (std::int64_t j = 0; j < inner; ++j, ++c) {
                const std::int64_t plane = interleaved_in ? j : i;
                const std::int64_t w = interleaved_in ? i : j;
                offsets(0)[c] = plane * from.channel_stride + w * from.column_stride;
                offsets(1)[c] = w * middle_stride + plane * rows.n_out;
                offsets(2)[c] = plane * from.width + w;
            }
        }
        for (c = 0; c < results; ++c) {
            const std::int64_t plane = c / rows.n_out;
            offsets(3)[c] = plane * to.channel_stride + (c - plane * rows.n_out) * to.row_stride;
        }
    }

    Workspace columns_;
};

}  // namespace ipse::IPSE_ISA
