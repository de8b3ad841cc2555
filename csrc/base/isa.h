// Which instruction set this translation unit is compiled for.
//
// Files named *_isa.cpp are compiled once per instruction set; CMake passes
// IPSE_ISA (the namespace) and IPSE_VECTOR_BYTES (the register width). Whatever
// those files define lives in `ipse::IPSE_ISA`, so that two levels never share a
// symbol: a linker that kept the AVX-512 copy of an inline function would crash
// an older machine. For the same reason they include no STL container.
#pragma once

#ifndef IPSE_ISA
#define IPSE_ISA baseline
#endif

#ifndef IPSE_VECTOR_BYTES
#define IPSE_VECTOR_BYTES 16
#endif
