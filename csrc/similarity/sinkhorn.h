// Sinkhorn-Knopp codes of SwAV, safe for any scores.
//
// A round makes every column of exp(scores / epsilon) sum to one, then every row. The codes of
// the last round lie in the result, so a round is one pass over it: each row is divided by the
// column sums and by its own sum, and adds to the column sums of the next round:
//
//   once          c_k = max_b s,  p = e^((s - c_k) / epsilon),  C_k = sum_b p
//   every round   p_k = (p_k / C_k) / sum_j (p_j / C_j),        C_k = sum_b p
//
// No exponential is of a positive number. A row whose entries are all far below their columns'
// maxima loses them to underflow: it, and every row from time to time, starts again from the
// scores and the logarithms g of all column sums so far, p = softmax((s - c) / epsilon - g).
// Columns cannot underflow: one that sums to one has an entry of at least 1/B, which the
// division by its row's sum, at most K, leaves at 1/(B K) or more.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/exp.h"
#include "base/parallel.h"
#include "base/shares.h"
#include "similarity/prototype_requests.h"
#include "similarity/rows.h"

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
          columns_(3, padded_),
          rows_(threads_, padded_),
          sums_(parts_, padded_),
          totals_(parts_, padded_) {}

    void run() const noexcept {
        if (samples_ == 0) {
            return;
        }
        find_maxima();
        exponentiate();
        for (int round = 1; round <= request_.iterations; ++round) {
            take_column_sums();
            // Entries lost to underflow could grow again, by at most B^2 K each round.
            const bool afresh = round > 1 && round % refresh == 1;
            const bool last = round == request_.iterations;
            each_row(!last, [&](std::int64_t sample, std::int64_t part, int worker) {
                normalise_row(sample, worker, afresh, last ? nullptr : sums_[part]);
            });
        }
    }

private:
    static constexpr int refresh = 3;
    // A row's sum from which on what underflowed is below its rounding.
    static constexpr double enough = sizeof(T) == 8 ? 0x1p-900 : 0x1p-60;
    // Column sums run in T over this many rows, in double beyond.
    static constexpr std::int64_t fold = 64;

    // Column sums are kept by part, a run of rows: enough of them for all threads.
    static std::int64_t part_count(std::int64_t samples, int threads) noexcept {
        const std::int64_t most = samples < 8 ? 1 : samples / 8;
        const std::int64_t wanted = threads == 1 ? 1 : 2 * static_cast<std::int64_t>(threads);
        return most < wanted ? most : wanted;
    }

    T* maxima() const noexcept { return columns_[0]; }
    T* logarithms() const noexcept { return columns_[1]; }  // g, of all column sums so far
    T* inverses() const noexcept { return columns_[2]; }    // 1 / C
    T* codes(std::int64_t sample) const noexcept {
        return static_cast<T*>(request_.codes.data) + sample * request_.codes.row_stride;
    }
    const T* scores(std::int64_t sample, int worker) const noexcept {
        return read_row(request_.scores, sample, rows_[worker]);
    }

    // body(sample, part, worker) for all samples; `summing`: sums_[part] becomes the column sums
    // of the part in totals_[part].
    template <class Body>
    void each_row(bool summing, const Body& body) const noexcept {
        parallel_for(parts_, threads_, [&](std::int64_t part, int worker) {
            const std::int64_t begin = part * samples_ / parts_;
            const std::int64_t end = (part + 1) * samples_ / parts_;
            if (summing) {
                fill(sums_[part], T{0});
                fill(totals_[part], 0.0);
            }
            for (std::int64_t sample = begin; sample < end; ++sample) {
                body(sample, part, worker);
                if (summing && ((sample - begin) % fold == fold - 1 || sample + 1 == end)) {
                    for (std::int64_t k = 0; k < prototypes_; ++k) {
                        totals_[part][k] += static_cast<double>(sums_[part][k]);
                        sums_[part][k] = T{0};
                    }
                }
            }
        });
    }

    template <class E>
    void fill(E* values, E value) const noexcept {
        for (std::int64_t k = 0; k < prototypes_; ++k) {
            values[k] = value;
        }
    }

    // to[k] = max(to[k], row[k]).
    void raise(T* to, const T* row) const noexcept {
        for_vectors<T>(0, prototypes_, [&](std::int64_t k, const auto& lanes) {
            lanes.store(to + k, larger<T>(lanes.load(row + k, T{0}), lanes.load(to + k, T{0})));
        });
    }

    void find_maxima() const noexcept {
        for (std::int64_t part = 0; part < parts_; ++part) {
            fill(sums_[part], -static_cast<T>(__builtin_inf()));
        }
        each_row(false, [&](std::int64_t sample, std::int64_t part, int worker) {
            raise(sums_[part], scores(sample, worker));
        });
        fill(maxima(), -static_cast<T>(__builtin_inf()));
        for (std::int64_t part = 0; part < parts_; ++part) {
            raise(maxima(), sums_[part]);
        }
        fill(logarithms(), T{0});
    }

    // The codes become e^((s - c) / epsilon).
    void exponentiate() const noexcept {
        each_row(true, [&](std::int64_t sample, std::int64_t part, int worker) {
            const T* row = scores(sample, worker);
            T* to = codes(sample);
            T* sum = sums_[part];
            for_vectors<T>(0, prototypes_, [&](std::int64_t k, const auto& lanes) {
                const Vector<T> a =
                    (lanes.load(row + k, T{0}) - lanes.load(maxima() + k, T{0})) * scale_;
                const Vector<T> e = exponential<T>(a);
                lanes.store(to + k, e);
                lanes.store(sum + k, lanes.load(sum + k, T{0}) + e);
            });
        });
    }

    // What the parts have summed goes into inverses() and logarithms().
    void take_column_sums() const noexcept {
        constexpr std::int64_t block = 512;
        parallel_for((prototypes_ + block - 1) / block, threads_, [&](std::int64_t item, int) {
            const std::int64_t begin = item * block;
            const std::int64_t end = begin + block < prototypes_ ? begin + block : prototypes_;
            for (std::int64_t k = begin; k < end; ++k) {
                double total = 0.0;
                for (std::int64_t part = 0; part < parts_; ++part) {
                    total += totals_[part][k];
                }
                inverses()[k] = static_cast<T>(1.0 / total);
                logarithms()[k] += std::log(static_cast<T>(total));
            }
        });
    }

    // One row of a round; adds its codes to `sum` unless that is null.
    void normalise_row(std::int64_t sample, int worker, bool afresh, T* sum) const noexcept {
        T* row = codes(sample);
        double total = afresh ? 0.0 : weighted_sum(row);
        if (total >= enough) {
            const T share = static_cast<T>(1.0 / total);
            finish_row(row, sum, [&](std::int64_t k, const auto& lanes) {
                return share * (lanes.load(row + k, T{0}) * lanes.load(inverses() + k, T{0}));
            });
            return;
        }
        const T* from = scores(sample, worker);
        for_vectors<T>(0, prototypes_, [&](std::int64_t k, const auto& lanes) {
            const Vector<T> a =
                (lanes.load(from + k, T{0}) - lanes.load(maxima() + k, T{0})) * scale_;
            lanes.store(row + k, a - lanes.load(logarithms() + k, T{0}));
        });
        total = exponentials(row, prototypes_, T{1}, row);
        const T share = static_cast<T>(1.0 / total);
        finish_row(row, sum, [&](std::int64_t k, const auto& lanes) {
            return share * lanes.load(row + k, T{0});
        });
    }

    template <class Code>
    void finish_row(T* row, T* sum, const Code& code) const noexcept {
        if (sum == nullptr) {
            for_vectors<T>(0, prototypes_, [&](std::int64_t k, const auto& lanes) {
                lanes.store(row + k, code(k, lanes));
            });
            return;
        }
        for_vectors<T>(0, prototypes_, [&](std::int64_t k, const auto& lanes) {
            const Vector<T> p = code(k, lanes);
            lanes.store(row + k, p);
            lanes.store(sum + k, lanes.load(sum + k, T{0}) + p);
        });
    }

    // sum over k of row[k] / C_k.
    double weighted_sum(const T* row) const noexcept {
        double total = 0.0;
        for (std::int64_t begin = 0; begin < prototypes_; begin += row_block) {
            const std::int64_t end =
                prototypes_ - begin < row_block ? prototypes_ : begin + row_block;
            Vector<T> sum{};
            for_vectors<T>(begin, end, [&](std::int64_t k, const auto& lanes) {
                sum += lanes.load(row + k, T{0}) * lanes.load(inverses() + k, T{0});
            });
            total += sum_of_lanes<T>(sum);
        }
        return total;
    }

    const SinkhornRequest& request_;
    std::int64_t samples_;
    std::int64_t prototypes_;
    std::int64_t padded_;
    T scale_;
    int threads_;
    std::int64_t parts_;
    Shares<T> columns_;  // maxima, logarithms, inverses
    Shares<T> rows_;     // a row read
    Shares<T> sums_;     // of columns, by part
    Shares<double> totals_;
};

}  // namespace ipse::IPSE_ISA
