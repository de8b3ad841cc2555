#include "base/cpu_features.h"
#include "base/isa_table.h"

namespace ipse {

#ifdef IPSE_HAVE_X86_LEVELS
namespace avx2 {
extern const IsaTable isa_table;
}
namespace avx512 {
extern const IsaTable isa_table;
}
#endif

const IsaTable& isa_table() {
#ifdef IPSE_HAVE_X86_LEVELS
    switch (selected_isa()) {
        case Isa::avx512:
            return avx512::isa_table;
        case Isa::avx2:
            return avx2::isa_table;
        case Isa::baseline:
            break;
    }
#else
    static_cast<void>(selected_isa());
#endif
    return baseline::isa_table;
}

}  // namespace ipse
