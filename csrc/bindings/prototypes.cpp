// ipse._core: soft cross-entropy (value and gradient) and Sinkhorn codes.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "base/checked_size.h"
#include "base/isa_table.h"
#include "bindings/arrays.h"
#include "bindings/register.h"

namespace ipse::bindings {
namespace {

using Arrays = std::vector<py::array>;
using OptionalArray = std::optional<py::array>;

double positive(const char* name, const char* argument, double value) {
    if (!(value > 0.0) || !std::isfinite(value)) {
        value_error(name, std::string(argument) + " must be positive and finite, got " +
                              std::string(py::str(py::float_(value))));
    }
    return value;
}

std::string indexed(const char* name, std::size_t index) {
    return std::string(name) + "[" + std::to_string(index) + "]";
}

std::vector<StridedMatrix> view_list(const char* name, const char* argument, const Arrays& arrays) {
    if (arrays.empty()) {
        value_error(name, std::string(argument) + " must hold at least 1 view, got 0");
    }
    std::vector<StridedMatrix> views;
    for (std::size_t i = 0; i < arrays.size(); ++i) {
        views.push_back(input_matrix(name, indexed(argument, i).c_str(), arrays[i]));
    }
    return views;
}

// What all kernels derive from the sizes: views, and rows of scratch for every thread.
void check_sizes(const char* name, std::int64_t views, std::int64_t samples,
                 std::int64_t prototypes, int threads) {
    try {
        const std::int64_t n = checked_add(samples, 64);
        const std::int64_t k = checked_multiply(checked_add(prototypes, 64), 128);
        checked_multiply(checked_multiply(n, k), checked_add(views, 4));
        checked_multiply(checked_multiply(k, checked_add(views, 4)), threads);
    } catch (const std::length_error&) {
        value_error(name, "views of shape (" + std::to_string(samples) + ", " +
                              std::to_string(prototypes) + ") overflow 64-bit sizes");
    }
}

// The arguments of forward and backward alike, checked; it owns what the request points at.
struct SoftCrossEntropyArguments {
    std::vector<StridedMatrix> students;
    std::vector<StridedMatrix> targets;
    std::vector<double> pair_weights;
    SoftCrossEntropyRequest request;

    SoftCrossEntropyArguments(const char* name, const Arrays& student_arrays,
                              const Arrays& target_arrays, const OptionalArray& center,
                              std::vector<double> weights, double student_temperature,
                              std::optional<double> teacher_temperature, int num_threads)
        : students(view_list(name, "students", student_arrays)),
          targets(view_list(name, "targets", target_arrays)),
          pair_weights(std::move(weights)) {
        request.student_count = static_cast<int>(students.size());
        request.target_count = static_cast<int>(targets.size());
        request.students = students.data();
        request.targets = targets.data();
        request.pair_weights = pair_weights.data();
        request.targets_are_logits = teacher_temperature.has_value();
        request.student_temperature = positive(name, "student_temperature", student_temperature);
        if (teacher_temperature) {
            request.teacher_temperature =
                positive(name, "teacher_temperature", *teacher_temperature);
        }
        request.threads = thread_count(name, num_threads);
        check_views(name);
        if (center) {
            attach_center(name, *center);
        }
        if (pair_weights.size() != students.size() * targets.size()) {
            value_error(name, "pair_weights must have one weight for each of " +
                                  std::to_string(students.size()) + " x " +
                                  std::to_string(targets.size()) + " pairs, got " +
                                  std::to_string(pair_weights.size()));
        }
    }

    // (students, N) in the compute type.
    void check_losses(const char* name, const char* argument, const StridedMatrix& losses) const {
        const auto count = static_cast<std::int64_t>(students.size());
        if (losses.rows != count || losses.cols != students[0].rows) {
            value_error(name, std::string(argument) + " must have shape (" + std::to_string(count) +
                                  ", " + std::to_string(students[0].rows) + "), got " +
                                  shape_text(losses));
        }
        if (losses.dtype != request.compute) {
            throw py::type_error(std::string(name) + ": " + argument + " must be " +
                                 dtype_name(request.compute) + ", got " + dtype_name(losses.dtype));
        }
    }

    void require_apart_from_inputs(const char* name, const char* result,
                                   const StridedMatrix& to) const {
        for (const StridedMatrix& view : students) {
            require_apart(name, result, to, "students", view);
        }
        for (const StridedMatrix& view : targets) {
            require_apart(name, result, to, "targets", view);
        }
        if (request.center.data != nullptr) {
            require_apart(name, result, to, "center", request.center);
        }
    }

private:
    void check_views(const char* name) {
        const StridedMatrix& first = students[0];
        for (const auto* views : {&students, &targets}) {
            for (const StridedMatrix& view : *views) {
                if (view.rows != first.rows || view.cols != first.cols) {
                    value_error(name, "all views must have the same shape, got " +
                                          shape_text(first) + " and " + shape_text(view));
                }
                if (view.dtype == DType::float64) {
                    request.compute = DType::float64;
                }
            }
        }
        if (first.cols < 1) {
            value_error(name, "the views must have at least 1 prototype, got 0");
        }
        check_sizes(name, static_cast<std::int64_t>(students.size() + targets.size()), first.rows,
                    first.cols, request.threads);
    }

    void attach_center(const char* name, const py::array& center) {
        if (!request.targets_are_logits) {
            value_error(name, "center needs a teacher_temperature: probabilities have no center");
        }
        request.center = input_matrix(name, "center", center);
        if (request.center.rows != 1 || request.center.cols != students[0].cols) {
            value_error(name, "center must have shape (1, " + std::to_string(students[0].cols) +
                                  "), got " + shape_text(request.center));
        }
    }
};

void soft_cross_entropy_forward(const Arrays& students, const Arrays& targets,
                                const OptionalArray& center, std::vector<double> pair_weights,
                                double student_temperature,
                                std::optional<double> teacher_temperature, const py::array& losses,
                                int num_threads) {
    constexpr const char* name = "soft_cross_entropy_forward";
    const SoftCrossEntropyArguments arguments(name, students, targets, center,
                                              std::move(pair_weights), student_temperature,
                                              teacher_temperature, num_threads);
    SoftCrossEntropyForward request{arguments.request, output_matrix(name, "losses", losses, true)};
    arguments.check_losses(name, "losses", request.losses);
    arguments.require_apart_from_inputs(name, "losses", request.losses);
    const py::gil_scoped_release release;
    isa_table().prototypes->soft_cross_entropy_forward(request);
}

void soft_cross_entropy_backward(const Arrays& students, const Arrays& targets,
                                 const OptionalArray& center, std::vector<double> pair_weights,
                                 double student_temperature,
                                 std::optional<double> teacher_temperature,
                                 const py::array& grad_losses,
                                 const std::vector<OptionalArray>& grad_students, int num_threads) {
    constexpr const char* name = "soft_cross_entropy_backward";
    const SoftCrossEntropyArguments arguments(name, students, targets, center,
                                              std::move(pair_weights), student_temperature,
                                              teacher_temperature, num_threads);
    const StridedMatrix incoming = input_matrix(name, "grad_losses", grad_losses);
    arguments.check_losses(name, "grad_losses", incoming);
    if (grad_students.size() != students.size()) {
        value_error(name, "grad_students must have one entry for each of " +
                              std::to_string(students.size()) + " students, got " +
                              std::to_string(grad_students.size()));
    }
    std::vector<StridedMatrix> grads(students.size());
    for (std::size_t i = 0; i < grads.size(); ++i) {
        if (!grad_students[i]) {
            continue;
        }
        const std::string argument = indexed("grad_students", i);
        grads[i] = output_matrix(name, argument.c_str(), *grad_students[i], true);
        const StridedMatrix& view = arguments.students[i];
        if (grads[i].rows != view.rows || grads[i].cols != view.cols ||
            grads[i].dtype != view.dtype) {
            value_error(name, argument + " must be " + dtype_name(view.dtype) + " of shape " +
                                  shape_text(view) + ", got " + dtype_name(grads[i].dtype) +
                                  " of shape " + shape_text(grads[i]));
        }
        arguments.require_apart_from_inputs(name, argument.c_str(), grads[i]);
        require_apart(name, argument.c_str(), grads[i], "grad_losses", incoming);
        for (std::size_t j = 0; j < i; ++j) {
            if (grad_students[j]) {
                require_apart(name, argument.c_str(), grads[i], indexed("grad_students", j).c_str(),
                              grads[j]);
            }
        }
    }
    const SoftCrossEntropyBackward request{arguments.request, incoming, grads.data()};
    const py::gil_scoped_release release;
    isa_table().prototypes->soft_cross_entropy_backward(request);
}

void sinkhorn(const py::array& scores, const py::array& codes, double epsilon, int iterations,
              int num_threads) {
    constexpr const char* name = "sinkhorn";
    SinkhornRequest request;
    request.scores = input_matrix(name, "scores", scores);
    request.codes = output_matrix(name, "codes", codes, true);
    request.epsilon = positive(name, "epsilon", epsilon);
    request.iterations = iterations;
    request.threads = thread_count(name, num_threads);
    if (iterations < 1) {
        value_error(name, "iterations must be at least 1, got " + std::to_string(iterations));
    }
    if (request.scores.cols < 1) {
        value_error(name, "scores must have at least 1 prototype, got 0");
    }
    const DType compute = request.scores.dtype == DType::float64 ? DType::float64 : DType::float32;
    if (request.codes.rows != request.scores.rows || request.codes.cols != request.scores.cols ||
        request.codes.dtype != compute) {
        value_error(name, std::string("codes must be ") + dtype_name(compute) + " of shape " +
                              shape_text(request.scores) + ", got " +
                              dtype_name(request.codes.dtype) + " of shape " +
                              shape_text(request.codes));
    }
    check_sizes(name, 1, request.scores.rows, request.scores.cols, 2 * request.threads);
    require_apart(name, "codes", request.codes, "scores", request.scores);
    const py::gil_scoped_release release;
    isa_table().prototypes->sinkhorn(request);
}

}  // namespace

void register_prototypes(py::module_& module) {
    module.def("soft_cross_entropy_forward", &soft_cross_entropy_forward, py::arg("students"),
               py::arg("targets"), py::arg("center"), py::arg("pair_weights"),
               py::arg("student_temperature"), py::arg("teacher_temperature"), py::arg("losses"),
               py::arg("num_threads") = 0,
               "Weighted cross-entropies of (N, K) student views against (N, K) targets, logits\n"
               "where teacher_temperature is given; fills losses (students, N).");
    module.def("soft_cross_entropy_backward", &soft_cross_entropy_backward, py::arg("students"),
               py::arg("targets"), py::arg("center"), py::arg("pair_weights"),
               py::arg("student_temperature"), py::arg("teacher_temperature"),
               py::arg("grad_losses"), py::arg("grad_students"), py::arg("num_threads") = 0,
               "grad_losses (students, N) times the gradient, into the (N, K) arrays given.");
    module.def("sinkhorn", &sinkhorn, py::arg("scores"), py::arg("codes"), py::arg("epsilon"),
               py::arg("iterations"), py::arg("num_threads") = 0,
               "Fills codes (B, K) with the Sinkhorn-Knopp codes of scores (B, K).");
}

}  // namespace ipse::bindings
