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
  K(kReduceMinKernel)                  \
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
  K(kSumKernel)                        \
  K(kSvdfKernel)                       \
  K(kTanhKernel)                       \
  K(kTransposeConvKernel)              \
  K(kTransposeKernel)                  \
  K(kUnidirectionalSequenceLstmKernel) \
  K(kUnpackKernel)                     \
  K(kWideAddKernel)                    \
  K(kWideAveragePool2dKernel)          \
  K(kWideConv2dKernel)                 \
  K(kWideDepthwiseConv2dKernel)        \
  K(kWideFullyConnectedKernel)         \
  K(kWideLeakyReluKernel)              \
  K(kWideLogisticKernel)               \
  K(kWideMaxPool2dKernel)              \
  K(kWideMaximumKernel)                \
  K(kWideMeanKernel)                   \
  K(kWideMinimumKernel)                \
  K(kWideMulKernel)                    \
  K(kWidePadKernel)                    \
  K(kWidePadV2Kernel)                  \
  K(kWideQuantizeKernel)               \
  K(kWideRelu6Kernel)                  \
  K(kWideReluKernel)                   \
  K(kWideSliceKernel)                  \
  K(kWideSoftmaxKernel)                \
  K(kWideStridedSliceKernel)           \
  K(kWideSubKernel)                    \
  K(kWideSumKernel)                    \
  K(kWideTanhKernel)                   \
  K(kWideTransposeConvKernel)          \
  K(kWideTransposeKernel)
#endif

namespace tinymia {

#define TINYMIA_DECLARE(name) extern const Kernel name;
#define TINYMIA_LIST(name) &(name),

TINYMIA_KERNELS(TINYMIA_DECLARE)

namespace {

const Kernel* const kKernels[] = {TINYMIA_KERNELS(TINYMIA_LIST)};

}  // namespace

const Kernel* KernelAt(uint32_t index) { return kKernels[index]; }

uint32_t FindKernel(BuiltinOp code, Takes takes) {
  for (uint32_t i = 0; i < sizeof(kKernels) / sizeof(kKernels[0]); ++i) {
    const bool fits = (static_cast<int>(kKernels[i]->takes) & static_cast<int>(takes)) != 0;
    if (kKernels[i]->code == code && fits) return i;
  }
  return kNoKernel;
}

}  // namespace tinymia
