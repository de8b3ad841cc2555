// The Fourier transforms of every level's rows and columns.
#pragma once

#include <cstdint>

#include "base/isa.h"
#include "base/workspace.h"
#include "spectral/fft_plan.h"
#include "spectral/scattering_sizes.h"

namespace ipse::IPSE_ISA {

template <class T>
class LevelTransforms {
public:
    explicit LevelTransforms(const ScatteringSizes& sizes) {
        std::int64_t total = 0;
        for (int level = 0; level < sizes.scales; ++level) {
            total += FftPlan<T>::elements(sizes.level_rows(level));
            total += FftPlan<T>::elements(sizes.level_cols(level));
        }
        constants_ = Workspace::elements(total, sizeof(T));
        plans_ = Workspace::elements(2 * sizes.scales, sizeof(FftPlan<T>));
        T* room = static_cast<T*>(constants_.data());
        FftPlan<T>* plan = plans();
        for (int level = 0; level < sizes.scales; ++level) {
            *plan++ = FftPlan<T>(sizes.level_cols(level), room);
            room += FftPlan<T>::elements(sizes.level_cols(level));
            *plan++ = FftPlan<T>(sizes.level_rows(level), room);
            room += FftPlan<T>::elements(sizes.level_rows(level));
        }
    }

    const FftPlan<T>& along_row(int level) const noexcept { return plans()[2 * level]; }
    const FftPlan<T>& along_column(int level) const noexcept { return plans()[2 * level + 1]; }

private:
    FftPlan<T>* plans() const noexcept { return static_cast<FftPlan<T>*>(plans_.data()); }

    Workspace constants_;
    Workspace plans_;
};

}  // namespace ipse::IPSE_ISA
