#!/usr/bin/env bash
# Builds the core with AddressSanitizer and UBSan and runs check_core.py on every
# instruction set. Usage: tests/sanitizer/run.sh PYTHON (with CMake and pybind11 beside it).
set -euo pipefail
cd "$(dirname "$0")/../.."
python=$(realpath --no-symlinks "$1")
build=build/sanitize
compiler=${CXX:-c++}

# Python itself is not instrumented, so the runtimes are loaded before it.
preload=""
for library in libasan.so libstdc++.so; do
    path=$("$compiler" -print-file-name="$library")
    if [ ! -e "$path" ]; then
        echo "sanitizer check left out: $compiler has no $library"
        exit 0
    fi
    preload="$preload${preload:+:}$path"
done

cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DSKBUILD_PROJECT_VERSION=0 \
    -DIPSE_SANITIZE=address,undefined -DPython_EXECUTABLE="$python" \
    -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" >"$build.log" 2>&1 ||
    { cat "$build.log"; exit 1; }
cmake --build "$build" >"$build.log" 2>&1 || { cat "$build.log"; exit 1; }

# Leaks are not looked for: the interpreter never frees everything.
for isa in baseline avx2 avx512; do
    LD_PRELOAD=$preload ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
        PYTHONMALLOC=malloc PYTHONPATH=$build IPSE_ISA=$isa \
        "$python" tests/sanitizer/check_core.py
done
