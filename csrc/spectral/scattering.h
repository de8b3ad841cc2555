// The scattering transform of a batch: how planes are grouped and shared among threads.
#pragma once

#include <cstdint>

#include "base/isa.h"
#include "base/parallel.h"
#include "base/shares.h"
#include "spectral/scattering_group.h"

namespace ipse::IPSE_ISA {

template <class T>
class Scattering {
public:
    explicit Scattering(const ScatteringRequest& request) : request_(request), tables_(request) {}

    void run() {
        const std::int64_t whole = request_.planes / most_lanes<T>;
        run_groups<most_lanes<T>>(0, whole, most_lanes<T>);
        const std::int64_t rest = request_.planes % most_lanes<T>;
        if (rest > 0) {
            run_rest<most_lanes<T>>(whole * most_lanes<T>, rest);
        }
    }

private:
    // The last planes go through vectors no wider than they fill.
    template <int lanes>
    void run_rest(std::int64_t first, std::int64_t count) {
        if constexpr (lanes > fewest_lanes<T>) {
            if (count <= lanes / 2) {
                run_rest<lanes / 2>(first, count);
                return;
            }
        }
        run_groups<lanes>(first, 1, count);
    }

    // `groups` groups of `count` planes each. Where threads would be left without one, a group
    // is cut by the angle of its first wavelet: all parts take the same time, save for the
    // spectrum of the planes, which each computes for itself.
    template <int lanes>
    void run_groups(std::int64_t first, std::int64_t groups, std::int64_t count) {
        if (groups == 0) {
            return;
        }
        using Group = ScatteringGroup<Lanes<T, lanes>>;
        const int angles = tables_.sizes.angles;
        const bool even = groups % request_.threads == 0 || groups >= 8 * request_.threads;
        const int parts = even ? 1 : (request_.threads < angles ? request_.threads : angles);
        const std::int64_t items = groups * parts;
        const int workers = static_cast<int>(items < request_.threads ? items : request_.threads);
        const Shares<T> rooms(workers, Group::elements(tables_.sizes));
        parallel_for(items, workers, [&](std::int64_t index, int worker) {
            const int part = static_cast<int>(index % parts);
            const ScatteringItem item{first + index / parts * count, count, angles * part / parts,
                                      angles * (part + 1) / parts};
            Group(tables_, request_, item, rooms[worker]).run();
        });
    }

    const ScatteringRequest& request_;
    ScatteringTables<T> tables_;
};

}  // namespace ipse::IPSE_ISA
