// ipse._core: random subsets of tokens, and tokens picked out and put back.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "base/checked_size.h"
#include "base/isa_table.h"
#include "bindings/arrays.h"
#include "bindings/integers.h"
#include "bindings/register.h"
#include "pruning/random_subsets.h"

namespace ipse::bindings {
namespace {

void random_subsets(std::uint64_t seed, std::int64_t num_tokens, const py::array& indices,
                    int num_threads) {
    constexpr const char* name = "random_subsets";
    if (indices.ndim() != 2) {
        value_error(name, "indices must have 2 dimensions, got " + std::to_string(indices.ndim()));
    }
    RandomSubsets request;
    request.seed = seed;
    request.rows = indices.shape(0);
    request.keep = indices.shape(1);
    request.tokens = num_tokens;
    request.indices = int64_matrix(name, "indices", indices, request.rows, request.keep, true);
    request.threads = thread_count(name, num_threads);
    if (num_tokens < request.keep) {
        value_error(name, "keep must be at most the number of tokens, " +
                              std::to_string(num_tokens) + ", got " + std::to_string(request.keep));
    }
    checked_multiply(checked_add(num_tokens, 64), 8 * static_cast<std::int64_t>(request.threads));
    const py::gil_scoped_release release;
    ipse::random_subsets(request);
}

// A (N, T, D) array, and its first and its last values as matrices, for the checks of those.
struct Checked {
    TokenBlock block;
    StridedMatrix first;
    StridedMatrix last;
};

Checked check_block(const char* name, const char* argument, const py::array& array, bool writable) {
    if (array.ndim() != 3 || array.shape(2) < 1) {
        value_error(name, std::string(argument) + " must be (N, T, D) with at least one value, " +
                              "got " + std::string(py::str(array.attr("shape"))));
    }
    if (array.size() > 0 && array.shape(2) > 1 && array.strides(2) != array.itemsize()) {
        value_error(name, std::string(argument) + " must have adjacent values in its tokens");
    }
    const auto values = [&](int index) {
        const py::array part = array[py::make_tuple(py::ellipsis(), index)];
        return input_matrix(name, argument, part);
    };
    Checked checked{{}, values(0), values(-1)};
    if (writable && (!array.writeable() || (array.flags() & py::array::c_style) == 0)) {
        value_error(name, std::string(argument) + " must be writable and C-contiguous");
    }
    TokenBlock& block = checked.block;
    block.data = checked.first.data;
    block.dtype = checked.first.dtype;
    block.samples = checked.first.rows;
    block.tokens = checked.first.cols;
    block.width = array.shape(2);
    block.sample_stride = checked.first.row_stride;
    block.token_stride = checked.first.col_stride;
    return checked;
}

// A result in C order, as a matrix of all its tokens.
StridedMatrix whole(const TokenBlock& block) {
    StridedMatrix matrix;
    matrix.data = block.data;
    matrix.dtype = block.dtype;
    matrix.rows = block.samples * block.tokens;
    matrix.cols = block.width;
    matrix.row_stride = block.width;
    matrix.col_stride = 1;
    return matrix;
}

// `from` is read, `to` written; one of them is all tokens, the other the chosen ones.
TokenSubset subset_of(const char* name, const char* from_name, const py::array& from,
                      const py::array& indices, const char* to_name, const py::array& to,
                      bool from_all, int num_threads) {
    const Checked source = check_block(name, from_name, from, false);
    const Checked result = check_block(name, to_name, to, true);
    TokenSubset request;
    request.all = from_all ? source.block : result.block;
    request.chosen = from_all ? result.block : source.block;
    const TokenBlock& all = request.all;
    const TokenBlock& chosen = request.chosen;
    if (all.samples != chosen.samples || all.width != chosen.width) {
        value_error(name, std::string(from_name) + " and " + to_name +
                              " must have the same samples and width, got " +
                              std::string(py::str(from.attr("shape"))) + " and " +
                              std::string(py::str(to.attr("shape"))));
    }
    if (all.dtype != chosen.dtype) {
        throw py::type_error(std::string(name) + ": " + from_name + " and " + to_name +
                             " must have the same dtype, got " + dtype_name(source.block.dtype) +
                             " and " + dtype_name(result.block.dtype));
    }
    request.indices = int64_matrix(name, "indices", indices, chosen.samples, chosen.tokens, false);
    request.threads = thread_count(name, num_threads);
    const std::int64_t tokens = checked_add(all.tokens, checked_add(chosen.tokens, 64));
    checked_multiply(checked_multiply(checked_add(all.samples, request.threads), tokens),
                     checked_add(all.width, 8));
    require_apart(name, to_name, whole(result.block), from_name, source.first);
    require_apart(name, to_name, whole(result.block), from_name, source.last);
    return request;
}

void require_right(const char* name, std::int64_t wrong, const TokenSubset& request,
                   const char* also) {
    if (wrong >= 0) {
        value_error(name, "indices must be from 0 to " + std::to_string(request.all.tokens - 1) +
                              also + ", got others in sample " + std::to_string(wrong));
    }
}

void gather_tokens(const py::array& x, const py::array& indices, const py::array& out,
                   int num_threads) {
    constexpr const char* name = "gather_tokens";
    const TokenSubset request = subset_of(name, "x", x, indices, "out", out, true, num_threads);
    std::int64_t wrong = -1;
    {
        const py::gil_scoped_release release;
        wrong = isa_table().tokens->gather(request);
    }
    require_right(name, wrong, request, "");
}

void add_tokens(const py::array& tokens, const py::array& indices, const py::array& out,
                int num_threads) {
    constexpr const char* name = "add_tokens";
    const TokenSubset request =
        subset_of(name, "tokens", tokens, indices, "out", out, false, num_threads);
    std::int64_t wrong = -1;
    {
        const py::gil_scoped_release release;
        wrong = isa_table().tokens->add(request);
    }
    require_right(name, wrong, request, "");
}

void scatter_tokens(const py::array& tokens, const py::array& indices, const py::array& fill,
                    const py::array& out, int num_threads) {
    constexpr const char* name = "scatter_tokens";
    TokenSubset request =
        subset_of(name, "tokens", tokens, indices, "out", out, false, num_threads);
    const StridedMatrix row = input_matrix(name, "fill", fill);
    if (row.rows != 1 || row.cols != request.all.width ||
        (fill.flags() & py::array::c_style) == 0 || row.dtype != request.all.dtype) {
        value_error(name, "fill must be a C-contiguous (1, " + std::to_string(request.all.width) +
                              ") " + dtype_name(request.all.dtype) + " array, got " +
                              shape_text(row) + " " + dtype_name(row.dtype));
    }
    require_apart(name, "out", whole(request.all), "fill", row);
    request.fill = row.data;
    std::int64_t wrong = -1;
    {
        const py::gil_scoped_release release;
        wrong = isa_table().tokens->scatter(request);
    }
    require_right(name, wrong, request, " and different");
}

}  // namespace

void register_token_subsets(py::module_& module) {
    module.def("random_subsets", &random_subsets, py::arg("seed"), py::arg("num_tokens"),
               py::arg("indices"), py::arg("num_threads") = 0,
               "Fills each row of indices (N, K) with a random subset of the tokens, ascending.");
    module.def("gather_tokens", &gather_tokens, py::arg("x"), py::arg("indices"), py::arg("out"),
               py::arg("num_threads") = 0, "out[n, k] = x[n, indices[n, k]].");
    module.def("add_tokens", &add_tokens, py::arg("tokens"), py::arg("indices"), py::arg("out"),
               py::arg("num_threads") = 0, "out = 0, then out[n, indices[n, k]] += tokens[n, k].");
    module.def("scatter_tokens", &scatter_tokens, py::arg("tokens"), py::arg("indices"),
               py::arg("fill"), py::arg("out"), py::arg("num_threads") = 0,
               "out = fill, then out[n, indices[n, k]] = tokens[n, k]; no index twice.");
}

}  // namespace ipse::bindings
