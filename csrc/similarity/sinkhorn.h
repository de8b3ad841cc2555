// Sinkhorn-Knopp codes of SwAV in log space.
//
// A round makes every column of exp(scores / epsilon) sum to one, then every row. With
// column potentials g and row potentials f the codes are exp(y - f), y = s / epsilon - g.
// Rows come one after another and carry their own f, so one pass over the scores
// normalises the rows and collects the column sums of the next round:
//
//   once          c_k = max_b s,  g_k = log sum_b e^((s - c_k) / epsilon)
//   every round   p = softmax_k((s - c) / epsilon - g);  g_k += log sum_b p;  the last p is the
//   code
//
// Nothing overflows, and no column sum underflows: a column that summed to one has an entry
// of at least 1/B, which the softmax of its row divides by at most K.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/exp.h"
#include "base/parallel.h"
#include "base/shares.h"
#include "similarity/prototype_requests.h"
#include "similarity/rows.h"
#include "similarity/soft_cross_entropy.h"

namespace ipse::IPSE_ISA {

template <class T>
class Sinkhorn {
public:
    explicit Sinkhorn(const SinkhornRequest& request)
        : request_(request),
          samples_(request.scores.rows),
          prototypes_(request.scores.cols),
          padded_((prototypes_ + 15) / 16 * 16),
          scale_(static_cast<T>(1.0 / request.epsilon)),
          threads_(useful_threads(samples_, prototypes_, 8, request.threads)),
          parts_(part_count(samples_, threads_)),
          columns_(1, 2 * padded_),
          rows_(threads_, 2 * padded_),
          sums_(parts_, padded_),
          totals_(parts_, padded_) {}

    void run() const noexcept {
        if (samples_ == 0) {
            return;
        }
        start();
        for (int round = 1; round < request_.iterations; ++round) {
            each_row(true, [&](std::int64_t, std::int64_t part, const T* codes, T share) {
                for_vectors<T>(0, prototypes_, [&](std::int64_t k, const auto& lanes) {
                    T* sum = sums_[part] + k;
                    lanes.store(sum, lanes.load(sum, T{0}) + share * lanes.load(codes + k, T{0}));
                });
            });
            add_logarithms();
        }
        each_row(false, [&](std::int64_t sample, std::int64_t, const T* codes, T share) {
            T* to = static_cast<T*>(request_.codes.data) + sample * request_.codes.row_stride;
            for_vectors<T>(0, prototypes_, [&](std::int64_t k, const auto& lanes) {
                lanes.store(to + k, share * lanes.load(codes + k, T{0}));
            });
        });
    }

private:
    // Column sums are kept by part, a run of rows: enough of them for all threads.
    static std::int64_t part_count(std::int64_t samples, int threads) noexcept {
        const std::int64_t most = (samples + 7) / 8;
        const std::int64_t wanted = threads == 1 ? 1 : 2 * static_cast<std::int64_t>(threads);
        return most < 1 ? 1 : (most < wanted ? most : wanted);
    }
    // Sums in T over this many rows, in double beyond.
    static constexpr std::int64_t fold = 64;

    T* maxima() const noexcept { return columns_[0]; }
    T* potentials() const noexcept { return columns_[0] + padded_; }

    // body(row, part, worker, sample) for all samples, each part in order; `folding`: T sums of
    // a part flow into its double sums.
    template <class Body>
    void each_sample(bool folding, const Body& body) const noexcept {
        parallel_for(parts_, threads_, [&](std::int64_t part, int worker) {
            const std::int64_t begin = part * samples_ / parts_;
            const std::int64_t end = (part + 1) * samples_ / parts_;
            if (folding) {
                clear(sums_[part]);
                clear(totals_[part]);
            }
            for (std::int64_t sample = begin; sample < end; ++sample) {
                body(read_row(request_.scores, sample, rows_[worker]), part, worker, sample);
                if (folding && ((sample - begin) % fold == fold - 1 || sample + 1 == end)) {
                    fold_sums(part);
                }
            }
        });
    }

    template <class E>
    void clear(E* values) const noexcept {
        for (std::int64_t k = 0; k < prototypes_; ++k) {
            values[k] = E{0};
        }
    }

    void fold_sums(std::int64_t part) const noexcept {
        T* sums = sums_[part];
        double* totals = totals_[part];
        for (std::int64_t k = 0; k < prototypes_; ++k) {
            totals[k] += static_cast<double>(sums[k]);
            sums[k] = T{0};
        }
    }

    // Column maxima, and the first potentials.
    void start() const noexcept {
        parallel_for(parts_, threads_, [&](std::int64_t part, int) {
            for (std::int64_t k = 0; k < prototypes_; ++k) {
                sums_[part][k] = -static_cast<T>(__builtin_inf());
            }
        });
        each_sample(false, [&](const T* row, std::int64_t part, int, std::int64_t) {
            raise(sums_[part], row);
        });
        clear(potentials());
        for (std::int64_t k = 0; k < prototypes_; ++k) {
            maxima()[k] = sums_[0][k];
        }
        for (std::int64_t part = 1; part < parts_; ++part) {
            raise(maxima(), sums_[part]);
        }
        each_sample(true, [&](const T* row, std::int64_t part, int, std::int64_t) {
            for_vectors<T>(0, prototypes_, [&](std::int64_t k, const auto& lanes) {
                const Vector<T> a =
                    (lanes.load(row + k, T{0}) - lanes.load(maxima() + k, T{0})) * scale_;
                T* sum = sums_[part] + k;
                lanes.store(sum, lanes.load(sum, T{0}) + exponential<T>(a));
            });
        });
        add_logarithms();
    }

    // to[k] = max(to[k], row[k]).
    void raise(T* to, const T* row) const noexcept {
        for_vectors<T>(0, prototypes_, [&](std::int64_t k, const auto& lanes) {
            const Vector<T> value = lanes.load(row + k, T{0});
            const Vector<T> best = lanes.load(to + k, T{0});
            lanes.store(to + k, value > best ? value : best);
        });
    }

    // The potentials take in the column sums of all parts.
    void add_logarithms() const noexcept {
        constexpr std::int64_t block = 512;
        parallel_for((prototypes_ + block - 1) / block, threads_, [&](std::int64_t item, int) {
            const std::int64_t begin = item * block;
            const std::int64_t end = begin + block < prototypes_ ? begin + block : prototypes_;
            for (std::int64_t k = begin; k < end; ++k) {
                double total = 0.0;
                for (std::int64_t part = 0; part < parts_; ++part) {
                    total += totals_[part][k];
                }
                potentials()[k] += std::log(static_cast<T>(total));
            }
        });
    }

    // use(sample, part, codes, share) for all samples: codes[k] * share is the softmax of the row.
    template <class Use>
    void each_row(bool folding, const Use& use) const noexcept {
        each_sample(folding, [&](const T* row, std::int64_t part, int worker, std::int64_t sample) {
            T* codes = rows_[worker] + padded_;
            for_vectors<T>(0, prototypes_, [&](std::int64_t k, const auto& lanes) {
                const Vector<T> a =
                    (lanes.load(row + k, T{0}) - lanes.load(maxima() + k, T{0})) * scale_;
                lanes.store(codes + k, a - lanes.load(potentials() + k, T{0}));
            });
            const double total = exponentials(codes, prototypes_, T{1}, codes);
            const T share = static_cast<T>(1.0 / total);
            use(sample, part, codes, share);
        });
    }

    const SinkhornRequest& request_;
    std::int64_t samples_;
    std::int64_t prototypes_;
    std::int64_t padded_;
    T scale_;
    int threads_;
    std::int64_t parts_;
    Shares<T> columns_;  // maxima and potentials
    Shares<T> rows_;     // a row read, a row normalised
    Shares<T> sums_;     // of columns, by part
    Shares<double> totals_;
};

}  // namespace ipse::IPSE_ISA
