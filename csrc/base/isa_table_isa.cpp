#include "base/isa_table.h"

namespace ipse::IPSE_ISA {

const IsaTable isa_table = {
    gemm,
    exponential_of,
    log1p_unit_of,
    &crops_table,
    &cross_correlation_table,
    &clusters_table,
    &masks_table,
    &neighbours_table,
    &response_table,
    &similarity_table,
    &prototypes_table,
    &styles_table,
    &tokens_table,
    &scattering_table,
};

}  // namespace ipse::IPSE_ISA
