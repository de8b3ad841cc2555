#include "base/isa_table.h"

namespace ipse::IPSE_ISA {

const IsaTable isa_table = {
    gemm,
    &cross_correlation_table,
    &clusters_table,
    &neighbours_table,
    &similarity_table,
    &prototypes_table,
};

}  // namespace ipse::IPSE_ISA
