// Which instruction sets this build holds and this processor has.
#include "isa.h"

namespace twin {

extern const Isa kScalar;
extern const Isa kVector4;

namespace {
bool Always() { return true; }
}  // namespace

#if defined(__x86_64__)

extern const Isa kVector8;
extern const Isa kVector16;

namespace {
bool HasAvx2() { return __builtin_cpu_supports("avx2") != 0; }
bool HasAvx512() {
  return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
         __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512bw") != 0;
}
}  // namespace

const IsaEntry kIsas[] = {
    {&kVector16, &HasAvx512}, {&kVector8, &HasAvx2}, {&kVector4, &Always}, {&kScalar, &Always}};

#else

const IsaEntry kIsas[] = {{&kVector4, &Always}, {&kScalar, &Always}};

#endif

const size_t kIsaCount = sizeof(kIsas) / sizeof(kIsas[0]);

}  // namespace twin
