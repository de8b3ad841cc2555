// One thread of Python at a time in a forest: evaluators may tell from threads of their own.
#pragma once

#include <pybind11/pybind11.h>

#include <mutex>

#include "tree/forest.h"

namespace ipse::bindings {

// Holds the forest for the length of a call. Nobody waits for it with the interpreter's lock in
// hand, so the two cannot block each other.
class Held {
public:
    explicit Held(tree::SearchForest& forest) : lock_(forest.mutex(), std::try_to_lock) {
        if (!lock_.owns_lock()) {
            const pybind11::gil_scoped_release release;
            lock_.lock();
        }
    }

private:
    std::unique_lock<std::mutex> lock_;
};

}  // namespace ipse::bindings
