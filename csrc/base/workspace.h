// Scratch memory of an operation: aligned, owned, sized with checks.
// Drivers allocate all of it before their parallel region, so a failed
// allocation is one std::bad_alloc (MemoryError in Python), never a dead thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ipse {

class Workspace {
public:
    // Wide enough for the widest vector register and one cache line.
    static constexpr std::size_t alignment = 64;

    Workspace() noexcept = default;
    explicit Workspace(std::int64_t bytes);
    ~Workspace();
    Workspace(Workspace&& other) noexcept;
    Workspace& operator=(Workspace&& other) noexcept;
    Workspace(const Workspace&) = delete;
    Workspace& operator=(const Workspace&) = delete;

    void* data() const noexcept { return data_; }

    // Uninitialised room for `count` elements of `element_bytes`, rounded up to whole lines.
    static Workspace elements(std::int64_t count, std::int64_t element_bytes);

private:
    void* data_ = nullptr;
    std::int64_t bytes_ = 0;
};

}  // namespace ipse
