// ipse._core: Fourier and Lanczos crops of images and their adjoints.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/checked_size.h"
#include "base/isa_table.h"
#include "bindings/arrays.h"
#include "bindings/register.h"
#include "spectral/operator_cache.h"

namespace ipse::bindings {
namespace {

using OptionalDoubles = std::optional<std::vector<double>>;

// Beyond it an operator has 10^12 entries.
constexpr std::int64_t largest_side = std::int64_t{1} << 20;

std::string shape_of(const Images& images) {
    return "(" + std::to_string(images.images) + ", " + std::to_string(images.channels) + ", " +
           std::to_string(images.height) + ", " + std::to_string(images.width) + ")";
}

PixelType pixel_type(DType dtype) {
    switch (dtype) {
        case DType::float64:
            return PixelType::float64;
        case DType::bfloat16:
            return PixelType::bfloat16;
        case DType::float16:
            return PixelType::float16;
        case DType::float32:
            break;
    }
    return PixelType::float32;
}

std::int64_t pixel_bytes(PixelType type) {
    switch (type) {
        case PixelType::uint8:
            return 1;
        case PixelType::bfloat16:
        case PixelType::float16:
            return 2;
        case PixelType::float64:
            return 8;
        case PixelType::float32:
            break;
    }
    return 4;
}

bool is_uint8(const py::array& array) {
    return array.dtype().kind() == 'u' && array.itemsize() == 1;
}

Images images_of(const char* name, const char* argument, const py::array& array) {
    if (array.ndim() != 4) {
        value_error(name, std::string(argument) + " must have 4 dimensions, got " +
                              std::to_string(array.ndim()));
    }
    Images result;
    result.type = PixelType::uint8;
    if (!is_uint8(array)) {
        // The checks of one plane: type, alignment, whole elements.
        const py::array plane(
            array.dtype(), std::vector<py::ssize_t>{array.shape(2), array.shape(3)},
            std::vector<py::ssize_t>{array.strides(2), array.strides(3)}, array.data(), array);
        result.type = pixel_type(input_matrix(name, argument, plane).dtype);
    }
    const std::int64_t bytes = pixel_bytes(result.type);
    for (int axis = 0; axis < 4; ++axis) {
        if (array.strides(axis) % bytes != 0) {
            value_error(name, std::string(argument) + " must have strides of whole elements");
        }
        if (array.shape(axis) > largest_side && axis >= 2) {
            value_error(name, std::string(argument) + " must be at most " +
                                  std::to_string(largest_side) + " pixels high and wide, got " +
                                  std::to_string(array.shape(axis)));
        }
    }
    result.data = const_cast<void*>(array.data());
    result.images = array.shape(0);
    result.channels = array.shape(1);
    result.height = array.shape(2);
    result.width = array.shape(3);
    result.image_stride = array.strides(0) / bytes;
    result.channel_stride = array.strides(1) / bytes;
    result.row_stride = array.strides(2) / bytes;
    result.column_stride = array.strides(3) / bytes;
    return result;
}

// Whether the axes, outermost first, lie in memory without gaps.
bool dense_in_order(const py::array& array, const std::vector<int>& axes) {
    std::int64_t expected = array.itemsize();
    for (auto axis = axes.rbegin(); axis != axes.rend(); ++axis) {
        if (array.size() > 0 && array.shape(*axis) > 1 && array.strides(*axis) != expected) {
            return false;
        }
        expected *= array.shape(*axis);
    }
    return true;
}

Images result_images(const char* name, const char* argument, const py::array& array) {
    Images result = images_of(name, argument, array);
    if (result.type == PixelType::uint8) {
        throw py::type_error(std::string(name) + ": " + argument +
                             " must be floating point, got uint8");
    }
    if (!array.writeable()) {
        value_error(name, std::string(argument) + " must be writable, got a read-only array");
    }
    const bool planar = dense_in_order(array, {0, 1, 2, 3});
    if (!planar && !dense_in_order(array, {0, 2, 3, 1})) {
        value_error(name, std::string(argument) + " must be in C order or channels last");
    }
    // Strides of axes of one element are arbitrary in NumPy; here they are what they would be.
    result.column_stride = planar ? 1 : result.channels;
    result.row_stride = result.column_stride * result.width;
    result.channel_stride = planar ? result.height * result.width : 1;
    result.image_stride = result.channels * result.height * result.width;
    return result;
}

std::pair<std::uintptr_t, std::uintptr_t> byte_range(const Images& images) {
    const std::int64_t bytes = pixel_bytes(images.type);
    std::int64_t low = 0;
    std::int64_t high = bytes;
    for (const auto& [count, stride] : {std::pair{images.images, images.image_stride},
                                        std::pair{images.channels, images.channel_stride},
                                        std::pair{images.height, images.row_stride},
                                        std::pair{images.width, images.column_stride}}) {
        const std::int64_t reach = (count - 1) * stride * bytes;
        low += std::min<std::int64_t>(reach, 0);
        high += std::max<std::int64_t>(reach, 0);
    }
    const auto base = reinterpret_cast<std::uintptr_t>(images.data);
    return {base + static_cast<std::uintptr_t>(low), base + static_cast<std::uintptr_t>(high)};
}

void check_shapes(const char* name, const Images& large, const Images& small,
                  const char* large_name, const char* small_name) {
    if (large.images != small.images || large.channels != small.channels) {
        value_error(name, std::string(large_name) + " and " + small_name +
                              " must have the same images and channels, got " + shape_of(large) +
                              " and " + shape_of(small));
    }
    if (small.height < 1 || small.width < 1 || small.height > large.height ||
        small.width > large.width) {
        value_error(name, std::string(small_name) + " must be at least 1 pixel and at most " +
                              large_name + " high and wide, got " + shape_of(small) + " and " +
                              shape_of(large));
    }
}

void check_channels(const char* name, const char* argument, const OptionalDoubles& values,
                    const Images& images) {
    if (values && static_cast<std::int64_t>(values->size()) != images.channels) {
        value_error(name, std::string(argument) + " must have one value for each of " +
                              std::to_string(images.channels) + " channels, got " +
                              std::to_string(values->size()));
    }
}

void run_crop(const char* name, CropKind kind, bool adjoint, const py::array& from_array,
              const py::array& to_array, const OptionalDoubles& scale, const OptionalDoubles& shift,
              int num_threads) {
    const char* from_name = adjoint ? "grad" : "x";
    const char* to_name = adjoint ? "grad_x" : "cropped";
    CropRequest request;
    request.from = images_of(name, from_name, from_array);
    request.to = result_images(name, to_name, to_array);
    request.threads = thread_count(name, num_threads);
    const Images& large = adjoint ? request.to : request.from;
    const Images& small = adjoint ? request.from : request.to;
    check_shapes(name, large, small, adjoint ? to_name : from_name, adjoint ? from_name : to_name);
    check_channels(name, "scale", scale, large);
    check_channels(name, "shift", shift, large);
    if (large.images == 0 || large.channels == 0) {
        return;
    }
    const auto [to_begin, to_end] = byte_range(request.to);
    const auto [from_begin, from_end] = byte_range(request.from);
    if (to_begin < from_end && from_begin < to_end) {
        value_error(name, std::string(to_name) + " must not overlap " + from_name);
    }
    request.scale = scale ? scale->data() : nullptr;
    request.shift = shift ? shift->data() : nullptr;
    if (request.from.type == PixelType::float64 || request.to.type == PixelType::float64) {
        request.compute = DType::float64;
    }
    const py::gil_scoped_release release;
    const CropsTable& table = *isa_table().crops;
    const int strip = request.compute == DType::float64 ? table.double_strip : table.float_strip;
    const auto rows =
        cached_operator({kind, adjoint, large.height, small.height, request.compute, strip});
    const auto columns =
        cached_operator({kind, adjoint, large.width, small.width, request.compute, strip});
    request.rows = &rows->view();
    request.columns = &columns->view();
    table.crop(request);
}

template <CropKind kind>
void forward(const py::array& x, const py::array& cropped, const OptionalDoubles& scale,
             const OptionalDoubles& shift, int num_threads) {
    constexpr const char* name =
        kind == CropKind::fourier ? "fourier_crop_forward" : "lanczos_crop_forward";
    run_crop(name, kind, false, x, cropped, scale, shift, num_threads);
}

template <CropKind kind>
void backward(const py::array& grad, const py::array& grad_x, const OptionalDoubles& scale,
              int num_threads) {
    constexpr const char* name =
        kind == CropKind::fourier ? "fourier_crop_backward" : "lanczos_crop_backward";
    run_crop(name, kind, true, grad, grad_x, scale, std::nullopt, num_threads);
}

std::pair<std::int64_t, std::int64_t> crop_operator_cache() {
    const OperatorCacheSize size = operator_cache_size();
    return {size.operators, size.bytes};
}

template <CropKind kind>
void register_kind(py::module_& module, const std::string& name) {
    module.def((name + "_forward").c_str(), forward<kind>, py::arg("x"), py::arg("cropped"),
               py::arg("scale") = py::none(), py::arg("shift") = py::none(),
               py::arg("num_threads") = 0);
    module.def((name + "_backward").c_str(), backward<kind>, py::arg("grad"), py::arg("grad_x"),
               py::arg("scale") = py::none(), py::arg("num_threads") = 0);
}

}  // namespace

void register_crops(py::module_& module) {
    register_kind<CropKind::fourier>(module, "fourier_crop");
    register_kind<CropKind::lanczos>(module, "lanczos_crop");
    module.def("crop_operator_cache", crop_operator_cache);
}

}  // namespace ipse::bindings
