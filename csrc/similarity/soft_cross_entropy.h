// Cross-entropy of student logits against soft targets, all pairs of views of a sample at once.
//
// One item of work is a run of samples. For each sample the targets of all views come first
// (a teacher's softmax is made once and serves every student), then each student row:
//
//   forward    loss = mass log(sum e^a) - <q, a>,   a = (s - max s) / T_s
//   backward   grad = (mass e^a / sum e^a - q) g / T_s
//
// with q = sum over i of weight_i p_i and mass = sum q. No matrix of probabilities exists:
// a worker holds one row of K values for each target view and two more.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/exp.h"
#include "base/parallel.h"
#include "base/shares.h"
#include "similarity/prototype_requests.h"
#include "similarity/rows.h"

namespace ipse::IPSE_ISA {

// The target of one view and sample: values[k] * scale is the probability.
template <class T>
struct TargetRow {
    const T* values = nullptr;
    double scale = 1.0;
    double mass = 1.0;  // the sum of the probabilities
};

// The target of one student row: sum over i of factor[i] * values[i][k].
template <class T>
struct MixedTarget {
    const T** values = nullptr;
    T* factors = nullptr;
    int count = 0;
    double mass = 0.0;

    template <class Lanes>
    Vector<T> at(std::int64_t k, const Lanes& lanes) const noexcept {
        Vector<T> q = factors[0] * lanes.load(values[0] + k, T{0});
        for (int i = 1; i < count; ++i) {
            q += factors[i] * lanes.load(values[i] + k, T{0});
        }
        return q;
    }
};

// The cross-entropy of one student row.
template <class T>
double row_loss(const T* student, std::int64_t count, T inverse_temperature,
                const MixedTarget<T>& target) noexcept {
    const T largest = row_maximum(student, count);
    double total = 0.0;
    double product = 0.0;
    for (std::int64_t begin = 0; begin < count; begin += row_block) {
        const std::int64_t end = count - begin < row_block ? count : begin + row_block;
        Vector<T> sum{};
        Vector<T> dot{};
        for_vectors<T>(begin, end, [&](std::int64_t k, const auto& lanes) {
            const Vector<T> a = (lanes.load(student + k, largest) - largest) * inverse_temperature;
            sum += lanes.or_zero(exponential<T>(a));
            dot += target.at(k, lanes) * a;
        });
        total += sum_of_lanes<T>(sum);
        product += sum_of_lanes<T>(dot);
    }
    return target.mass * std::log(total) - product;
}

// The gradient of row_loss times `grad` into `to`, which is not the student's row.
template <class T>
void row_gradient(const T* student, std::int64_t count, T inverse_temperature,
                  const MixedTarget<T>& target, double grad, T* to) noexcept {
    const double total = exponentials(student, count, inverse_temperature, to);
    const double step = grad * static_cast<double>(inverse_temperature);
    const T own = static_cast<T>(step * target.mass / total);
    const T other = static_cast<T>(step);
    for_vectors<T>(0, count, [&](std::int64_t k, const auto& lanes) {
        const Vector<T> e = lanes.load(to + k, T{0});
        lanes.store(to + k, own * e - other * target.at(k, lanes));
    });
}

template <class T>
class SoftCrossEntropy {
public:
    explicit SoftCrossEntropy(const SoftCrossEntropyRequest& request)
        : request_(request),
          samples_(request.students[0].rows),
          prototypes_(request.students[0].cols),
          padded_((prototypes_ + 15) / 16 * 16),
          threads_(useful_threads(samples_, prototypes_,
                                  8 * (request.student_count + request.target_count),
                                  request.threads)),
          center_(1, request.center.data == nullptr ? 0 : padded_),
          rows_(threads_, (request.target_count + 2) * padded_),
          targets_(threads_, request.target_count),
          values_(threads_, request.target_count),
          factors_(threads_, request.target_count) {}

    void forward(const StridedMatrix& losses) const noexcept {
        run(
            [&](std::int64_t sample, int view, const T* student, const MixedTarget<T>& target, T*) {
                element(losses, view, sample) =
                    target.count == 0
                        ? T{0}
                        : static_cast<T>(row_loss(student, prototypes_, student_scale(), target));
            },
            nullptr);
    }

    void backward(const StridedMatrix& grad_losses, const StridedMatrix* grads) const noexcept {
        run(
            [&](std::int64_t sample, int view, const T* student, const MixedTarget<T>& target,
                T* room) {
                const double grad = static_cast<double>(element(grad_losses, view, sample));
                T* to = result_row(grads[view], sample, room);
                if (target.count == 0) {
                    for (std::int64_t k = 0; k < prototypes_; ++k) {
                        to[k] = T{0};
                    }
                } else {
                    row_gradient(student, prototypes_, student_scale(), target, grad, to);
                }
                finish_row(to, grads[view], sample);
            },
            grads);
    }

private:
    static T& element(const StridedMatrix& matrix, std::int64_t row, std::int64_t col) noexcept {
        return static_cast<T*>(matrix.data)[row * matrix.row_stride + col * matrix.col_stride];
    }
    T student_scale() const noexcept { return static_cast<T>(1.0 / request_.student_temperature); }

    // work(sample, view, student row, its target, room for a row) for all that is wanted.
    template <class Work>
    void run(const Work& work, const StridedMatrix* grads) const noexcept {
        if (samples_ == 0) {
            return;
        }
        const T* center =
            request_.center.data == nullptr ? nullptr : read_row(request_.center, 0, center_[0]);
        // Long enough to hide the handing out, short enough to keep all threads busy.
        const std::int64_t few = 1 + 8192 / prototypes_;
        const std::int64_t share = (samples_ + threads_ - 1) / threads_;
        const std::int64_t each = few < share ? few : share;
        parallel_for((samples_ + each - 1) / each, threads_, [&](std::int64_t item, int worker) {
            const std::int64_t end = (item + 1) * each < samples_ ? (item + 1) * each : samples_;
            for (std::int64_t sample = item * each; sample < end; ++sample) {
                run_sample(sample, worker, center, work, grads);
            }
        });
    }

    template <class Work>
    void run_sample(std::int64_t sample, int worker, const T* center, const Work& work,
                    const StridedMatrix* grads) const noexcept {
        T* room = rows_[worker];
        for (int i = 0; i < request_.target_count; ++i, room += padded_) {
            targets_[worker][i] = read_target(request_.targets[i], sample, center, room);
        }
        for (int view = 0; view < request_.student_count; ++view) {
            if (grads == nullptr || grads[view].data != nullptr) {
                const T* student = read_row(request_.students[view], sample, room);
                work(sample, view, student, mix(view, worker), room + padded_);
            }
        }
    }

    TargetRow<T> read_target(const StridedMatrix& from, std::int64_t sample, const T* center,
                             T* room) const noexcept {
        TargetRow<T> target;
        const T* row = read_row(from, sample, room);
        if (request_.targets_are_logits) {
            if (center != nullptr) {
                for_vectors<T>(0, prototypes_, [&](std::int64_t k, const auto& lanes) {
                    lanes.store(room + k, lanes.load(row + k, T{0}) - lanes.load(center + k, T{0}));
                });
                row = room;
            }
            const T scale = static_cast<T>(1.0 / request_.teacher_temperature);
            target.scale = 1.0 / exponentials(row, prototypes_, scale, room);
            target.values = room;
        } else {
            target.values = row;
            target.mass = row_sum(row, prototypes_);
        }
        return target;
    }

    MixedTarget<T> mix(int view, int worker) const noexcept {
        MixedTarget<T> target{values_[worker], factors_[worker], 0, 0.0};
        for (int i = 0; i < request_.target_count; ++i) {
            const double weight =
                request_.pair_weights[static_cast<std::int64_t>(view) * request_.target_count + i];
            if (weight != 0.0) {
                const TargetRow<T>& row = targets_[worker][i];
                target.values[target.count] = row.values;
                target.factors[target.count++] = static_cast<T>(weight * row.scale);
                target.mass += weight * row.mass;
            }
        }
        return target;
    }

    const SoftCrossEntropyRequest& request_;
    std::int64_t samples_;
    std::int64_t prototypes_;
    std::int64_t padded_;
    int threads_;
    Shares<T> center_;
    Shares<T> rows_;  // a row for each target, one for the student, one for its gradient
    Shares<TargetRow<T>> targets_;
    Shares<const T*> values_;
    Shares<T> factors_;
};

}  // namespace ipse::IPSE_ISA
