#include "base/isa_table.h"

namespace ipse::IPSE_ISA {

const IsaTable isa_table = {
    gemm,
    &cross_correlation_table,
    &similarity_table,
};

}  // namespace ipse::IPSE_ISA
