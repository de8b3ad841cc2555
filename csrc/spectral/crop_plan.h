// How a crop is cut into groups of planes, and where a thread's scratch memory lies.
#pragma once

#include <cstdint>

#include "base/panels.h"
#include "spectral/fold.h"

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
    CropLayout at;

    explicit CropPlan(const CropRequest& request) noexcept
        : from(request.from), to(request.to), channels(request.from.channels) {
        join_images();
        choose_groups(*request.rows, request.threads);
        lay_out(*request.rows, *request.columns);
    }

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
        constexpr std::int64_t budget = 160 * 1024 / static_cast<std::int64_t>(sizeof(T));
        const std::int64_t fitting = budget / (from.width * rows.n_out) + 1;
        const std::int64_t share = from.images * from.channels / (4 * threads) + 1;
        // A pixel's channels are written together, so they should all be in the group.
        const bool interleaved = interleaved_in || interleaved_out;
        const std::int64_t most = interleaved ? 16 : (fitting < share ? fitting : share);
        group = most < from.channels ? most : from.channels;
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
        at.results = at.folded + panel * larger(folded_rows<T>(rows), folded_rows<T>(columns));
        at.y = at.results + panel * larger(result_rows<T>(rows), result_rows<T>(columns));
        at.lines = at.y + panel * (larger(rows.n_out, columns.n_out * together) + strip * together +
                                   lanes);
        at.corners = at.lines + whole(group * from.width);
        at.middle = at.corners + whole(group);
        // An odd number of lines: rows of a power of two would share few sets of the caches.
        middle_stride = whole(group * rows.n_out);
        middle_stride += middle_stride / 16 % 2 == 0 ? 16 : 0;
        // The last panel is read in whole registers.
        at.total = at.middle + middle_stride * from.width + panel;
    }
};

}  // namespace ipse::IPSE_ISA
