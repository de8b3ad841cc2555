// The two losses, written as what differs between them; everything else
// (columns.h, forward.h, backward.h) is shared.
//
// Notation, for one feature column of N samples: x the centred values, z what enters
// the second moments (x for VICReg, x / sqrt(variance + eps) for Barlow Twins).
// Samples side: Gram matrices K_v = Z_v Z_v^T, (N, N), since
//     ||Z_1^T Z_2||_F^2 = <K_1, K_2>   and   ||Z_v^T Z_v||_F^2 = ||K_v||_F^2.
// Those sums contain the diagonal of the D x D matrix, which the losses do not want:
// the samples side takes it off again column by column, the features side leaves it out.
// On both sides the gradient of a view is
//     scale * (alpha * G + own * z_view + other * z_other + constant)
// with G = K_partner Z_view (samples) or Z_partner offdiag(C)^T (features). No term for
// the mean of the gradient is needed: the columns of Z sum to zero, so those of G do.
#pragma once

#include <cstdint>

#include "base/isa.h"
#include "cross_correlation/requests.h"

namespace ipse::IPSE_ISA {

struct ColumnStatistics {
    double mean[2];
    double variance[2];  // biased
    double pair;         // sum over the samples of Loss::pair_term
};

struct GradientTerms {
    double scale;
    double own;
    double other;
    double constant;
};

class BarlowTwins {
public:
    static constexpr bool cross = true;  // moments join the two views: C = Z_1^T Z_2 / N

    BarlowTwins(const BarlowTwinsParameters& parameters, std::int64_t samples, std::int64_t,
                Side side) noexcept
        : n_(static_cast<double>(samples)),
          lambda_(parameters.lambda_param),
          eps_(parameters.eps),
          samples_side_(side == Side::samples) {}

    double column_scale(double variance) const noexcept {
        return 1.0 / __builtin_sqrt(variance + eps_);
    }

    template <class V>
    static V pair_term(V z1, V z2) noexcept {
        return z1 * z2;
    }

    double column_value(const ColumnStatistics& column) const noexcept {
        const double r = column.pair / n_;
        return (r - 1.0) * (r - 1.0) - (samples_side_ ? lambda_ * r * r : 0.0);
    }

    // Factor of <K_1, K_2>, or of the off-diagonal sum of C squared.
    double moment_weight() const noexcept { return samples_side_ ? lambda_ / (n_ * n_) : lambda_; }
    double feature_divisor() const noexcept { return n_; }
    double alpha() const noexcept { return 2.0 * lambda_ / (samples_side_ ? n_ * n_ : n_); }

    // projection: sum over the samples of alpha * G * z_view, for the way back through the
    // standardisation: g -> (g - z mean(g z)) / std.
    GradientTerms gradient(int view, const ColumnStatistics& column,
                           double projection) const noexcept {
        const double r = column.pair / n_;
        const double direct = (2.0 * (r - 1.0) - (samples_side_ ? 2.0 * lambda_ * r : 0.0)) / n_;
        return {column_scale(column.variance[view]), -(projection / n_ + direct * r), direct, 0.0};
    }

private:
    double n_;
    double lambda_;
    double eps_;
    bool samples_side_;
};

class Vicreg {
public:
    static constexpr bool cross = false;  // one covariance matrix per view

    Vicreg(const VicregParameters& parameters, std::int64_t samples, std::int64_t features,
           Side side) noexcept
        : n_(static_cast<double>(samples)),
          d_(static_cast<double>(features)),
          parameters_(parameters),
          samples_side_(side == Side::samples) {}

    static double column_scale(double) noexcept { return 1.0; }

    // Not the product: var + var - 2 cov would cancel where the views agree.
    template <class V>
    static V pair_term(V x1, V x2) noexcept {
        return (x1 - x2) * (x1 - x2);
    }

    double column_value(const ColumnStatistics& column) const noexcept {
        const double apart = column.mean[0] - column.mean[1];
        double value = parameters_.lambda_param * (column.pair + n_ * apart * apart) / (n_ * d_);
        for (const double biased : column.variance) {
            const double slack = 1.0 - deviation(biased);
            value += slack < 0.0 ? 0.0 : parameters_.mu_param * slack / (2.0 * d_);
            if (samples_side_) {
                value -= parameters_.nu_param * unbiased(biased) * unbiased(biased) / d_;
            }
        }
        return value;
    }

    double moment_weight() const noexcept {
        const double weight = parameters_.nu_param / d_;
        return samples_side_ ? weight / ((n_ - 1.0) * (n_ - 1.0)) : weight;
    }
    double feature_divisor() const noexcept { return n_ - 1.0; }
    double alpha() const noexcept {
        const double weight = 4.0 * parameters_.nu_param / (d_ * (n_ - 1.0));
        return samples_side_ ? weight / (n_ - 1.0) : weight;
    }

    GradientTerms gradient(int view, const ColumnStatistics& column, double) const noexcept {
        const double pull = 2.0 * parameters_.lambda_param / (n_ * d_);
        const double std = deviation(column.variance[view]);
        double own = pull;
        if (std < 1.0) {
            own -= parameters_.mu_param / (2.0 * d_ * (n_ - 1.0) * std);
        }
        if (samples_side_) {
            own -= 4.0 * parameters_.nu_param * unbiased(column.variance[view]) / (d_ * (n_ - 1.0));
        }
        return {1.0, own, -pull, pull * (column.mean[view] - column.mean[1 - view])};
    }

private:
    double unbiased(double biased) const noexcept { return biased * n_ / (n_ - 1.0); }
    double deviation(double biased) const noexcept {
        return __builtin_sqrt(unbiased(biased) + parameters_.eps);
    }

    double n_;
    double d_;
    VicregParameters parameters_;
    bool samples_side_;
};

}  // namespace ipse::IPSE_ISA
