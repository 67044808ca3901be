// The twin's worker of one lane, beside the one of TWIN_LANES in the same program.
#undef TWIN_LANES
#undef TWIN_ISA
#undef TWIN_NAME
#define TWIN_LANES 1
#define TWIN_ISA kScalar
#define TWIN_NAME "scalar"
#include "worker.cc"
