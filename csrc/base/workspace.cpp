#include "base/workspace.h"

#include <new>
#include <utility>

#include "base/checked_size.h"

namespace ipse {

Workspace::Workspace(std::int64_t bytes) {
    if (bytes > 0) {
        data_ = ::operator new(static_cast<std::size_t>(bytes), std::align_val_t{alignment});
    }
}

Workspace::~Workspace() {
    ::operator delete(data_, std::align_val_t{alignment});
}

Workspace::Workspace(Workspace&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}

Workspace& Workspace::operator=(Workspace&& other) noexcept {
    std::swap(data_, other.data_);
    return *this;
}

Workspace Workspace::elements(std::int64_t count, std::int64_t element_bytes) {
    const auto line = static_cast<std::int64_t>(alignment);
    const std::int64_t bytes = checked_add(checked_multiply(count, element_bytes), line - 1);
    return Workspace(bytes / line * line);
}

}  // namespace ipse
