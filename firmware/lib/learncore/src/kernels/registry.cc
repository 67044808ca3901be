#include "kernels/kernel.h"

// Every operator; or, for an image that is to run one model only, what chosen_kernels.h defines.
#ifdef TINYMIA_CHOSEN_KERNELS
#include "chosen_kernels.h"
#else
#define TINYMIA_KERNELS(K)             \
  K(kAddKernel)                        \
  K(kAveragePoolKernel)                \
  K(kBatchMatmulKernel)                \
  K(kBatchToSpaceNdKernel)             \
  K(kConcatenationKernel)              \
  K(kConvKernel)                       \
  K(kDepthToSpaceKernel)               \
  K(kDepthwiseConvKernel)              \
  K(kExpandDimsKernel)                 \
  K(kFullyConnectedKernel)             \
  K(kGatherKernel)                     \
  K(kHardSwishKernel)                  \
  K(kLeakyReluKernel)                  \
  K(kLogisticKernel)                   \
  K(kMaxPoolKernel)                    \
  K(kMaximumKernel)                    \
  K(kMeanKernel)                       \
  K(kMinimumKernel)                    \
  K(kMulKernel)                        \
  K(kPackKernel)                       \
  K(kPadKernel)                        \
  K(kPadV2Kernel)                      \
  K(kPreluKernel)                      \
  K(kQuantizeKernel)                   \
  K(kReadVariableKernel)               \
  K(kReduceMaxKernel)                  \
  K(kRelu6Kernel)                      \
  K(kReluKernel)                       \
  K(kReshapeKernel)                    \
  K(kResizeBilinearKernel)             \
  K(kResizeNearestNeighborKernel)      \
  K(kSliceKernel)                      \
  K(kSoftmaxKernel)                    \
  K(kSpaceToBatchNdKernel)             \
  K(kSpaceToDepthKernel)               \
  K(kSplitKernel)                      \
  K(kSplitVKernel)                     \
  K(kSqueezeKernel)                    \
  K(kStridedSliceKernel)               \
  K(kSubKernel)                        \
  K(kTanhKernel)                       \
  K(kTransposeConvKernel)              \
  K(kTransposeKernel)                  \
  K(kUnidirectionalSequenceLstmKernel) \
  K(kUnpackKernel)
#endif

namespace tinymia {

#define TINYMIA_DECLARE(name) extern const Kernel name;
#define TINYMIA_LIST(name) &(name),

TINYMIA_KERNELS(TINYMIA_DECLARE)

namespace {

const Kernel* const kKernels[] = {TINYMIA_KERNELS(TINYMIA_LIST)};

}  // namespace

const Kernel* KernelAt(uint32_t index) { return kKernels[index]; }

uint32_t FindKernel(BuiltinOp code) {
  for (uint32_t i = 0; i < sizeof(kKernels) / sizeof(kKernels[0]); ++i) {
    if (kKernels[i]->code == code) return i;
  }
  return kNoKernel;
}

}  // namespace tinymia
