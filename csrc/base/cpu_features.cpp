#include "base/cpu_features.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace ipse {
namespace {

#ifdef IPSE_HAVE_X86_LEVELS
// The x86-64-v3 and -v4 feature sets, which the compiler flags of those levels assume.
bool has_avx2() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi2");
}

bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512cd");
}
#else
bool has_avx2() {
    return false;
}
bool has_avx512() {
    return false;
}
#endif

Isa best_isa() {
    if (has_avx512()) {
        return Isa::avx512;
    }
    return has_avx2() ? Isa::avx2 : Isa::baseline;
}

Isa choose_isa() {
    const char* wanted = std::getenv("IPSE_ISA");
    if (wanted == nullptr || *wanted == '\0') {
        return best_isa();
    }
    for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512}) {
        if (std::string(wanted) == isa_name(isa)) {
            if (isa > best_isa()) {
                throw std::invalid_argument(std::string("IPSE_ISA=") + wanted +
                                            " cannot run here: the best level of this processor "
                                            "and build is " +
                                            isa_name(best_isa()));
            }
            return isa;
        }
    }
    throw std::invalid_argument(std::string("IPSE_ISA must be baseline, avx2 or avx512, got ") +
                                wanted);
}

}  // namespace

Isa selected_isa() {
    static const Isa isa = choose_isa();
    return isa;
}

const char* isa_name(Isa isa) {
    switch (isa) {
        case Isa::avx512:
            return "avx512";
        case Isa::avx2:
            return "avx2";
        case Isa::baseline:
            break;
    }
    return "baseline";
}

const char* compiled_isas() {
#ifdef IPSE_HAVE_X86_LEVELS
    return "baseline,avx2,avx512";
#else
    return "baseline";
#endif
}

}  // namespace ipse
