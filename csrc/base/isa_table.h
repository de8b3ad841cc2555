// Every entry point that exists once per instruction set. Each engine fills its own table
// (`*_isa.cpp` in its folder); isa_table_isa.cpp lists them, dispatch.cpp picks the level.
#pragma once

#include "base/gemm.h"
#include "base/isa.h"
#include "cross_correlation/requests.h"
#include "pruning/masks_requests.h"
#include "pruning/response_requests.h"
#include "pruning/tokens_requests.h"
#include "similarity/clusters_requests.h"
#include "similarity/neighbours_requests.h"
#include "similarity/prototype_requests.h"
#include "similarity/softmax_requests.h"
#include "spectral/crop_requests.h"
#include "spectral/scattering_requests.h"
#include "spectral/styles_requests.h"

namespace ipse {

struct IsaTable {
    void (*gemm)(const GemmRequest&);
    void (*exponential)(const StridedMatrix& in, const StridedMatrix& out);
    void (*log1p_unit)(const StridedMatrix& in, const StridedMatrix& out);
    const CropsTable* crops;
    const CrossCorrelationTable* cross_correlation;
    const ClustersTable* clusters;
    const MasksTable* masks;
    const NeighboursTable* neighbours;
    const ResponseTable* response;
    const SimilarityTable* similarity;
    const PrototypesTable* prototypes;
    const StylesTable* styles;
    const TokensTable* tokens;
    const ScatteringTable* scattering;
};

namespace IPSE_ISA {
void gemm(const GemmRequest& request);
void exponential_of(const StridedMatrix& in, const StridedMatrix& out);
void log1p_unit_of(const StridedMatrix& in, const StridedMatrix& out);
extern const CropsTable crops_table;
extern const CrossCorrelationTable cross_correlation_table;
extern const ClustersTable clusters_table;
extern const MasksTable masks_table;
extern const NeighboursTable neighbours_table;
extern const ResponseTable response_table;
extern const SimilarityTable similarity_table;
extern const PrototypesTable prototypes_table;
extern const StylesTable styles_table;
extern const TokensTable tokens_table;
extern const ScatteringTable scattering_table;
extern const IsaTable isa_table;
}  // namespace IPSE_ISA

// The table of the selected level.
const IsaTable& isa_table();

}  // namespace ipse
