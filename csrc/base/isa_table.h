// Every entry point that exists once per instruction set, and the table that
// dispatch.cpp fills from the level chosen at run time.
#pragma once

#include "base/gemm.h"
#include "base/isa.h"
#include "cross_correlation/requests.h"

namespace ipse {

struct IsaTable {
    void (*gemm)(const GemmRequest&);
    CrossCorrelationTable cross_correlation;
};

namespace IPSE_ISA {
void gemm(const GemmRequest& request);
extern const IsaTable isa_table;
}  // namespace IPSE_ISA

// The table of the selected level.
const IsaTable& isa_table();

}  // namespace ipse
