// One choice of instruction set per process, made at the first call.
#pragma once

namespace ipse {

enum class Isa { baseline, avx2, avx512 };

// The level in use: the best that this build and this processor both have, or
// what the environment variable IPSE_ISA (baseline|avx2|avx512) asks for.
// Throws std::invalid_argument if IPSE_ISA names a level that cannot run here.
Isa selected_isa();

const char* isa_name(Isa isa);

// Comma-separated levels compiled into this build, "baseline,avx2,avx512" on x86-64.
const char* compiled_isas();

}  // namespace ipse
