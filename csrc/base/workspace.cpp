#include "base/workspace.h"

#include <new>
#include <utility>

#include "base/checked_size.h"
#include "base/scratch_pool.h"

namespace ipse {

Workspace::Workspace(std::int64_t bytes) {
    bytes_ = bytes;
    data_ = scratch_pool::take(bytes_);
    if (data_ == nullptr && bytes > 0) {
        data_ = ::operator new(static_cast<std::size_t>(bytes), std::align_val_t{alignment});
    }
}

Workspace::~Workspace() {
    if (data_ != nullptr && !scratch_pool::keep(data_, bytes_)) {
        ::operator delete(data_, std::align_val_t{alignment});
    }
}

Workspace::Workspace(Workspace&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Workspace& Workspace::operator=(Workspace&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
}

Workspace Workspace::elements(std::int64_t count, std::int64_t element_bytes) {
    const auto line = static_cast<std::int64_t>(alignment);
    const std::int64_t bytes = checked_add(checked_multiply(count, element_bytes), line - 1);
    return Workspace(bytes / line * line);
}

}  // namespace ipse
