#include "kernels/kernel.h"

namespace tinymia {

extern const Kernel kAddKernel;
extern const Kernel kAveragePoolKernel;
extern const Kernel kBatchMatmulKernel;
extern const Kernel kConcatenationKernel;
extern const Kernel kConvKernel;
extern const Kernel kDepthwiseConvKernel;
extern const Kernel kExpandDimsKernel;
extern const Kernel kFullyConnectedKernel;
extern const Kernel kGatherKernel;
extern const Kernel kHardSwishKernel;
extern const Kernel kLeakyReluKernel;
extern const Kernel kLogisticKernel;
extern const Kernel kMaxPoolKernel;
extern const Kernel kMaximumKernel;
extern const Kernel kMeanKernel;
extern const Kernel kMinimumKernel;
extern const Kernel kMulKernel;
extern const Kernel kPackKernel;
extern const Kernel kPadKernel;
extern const Kernel kPadV2Kernel;
extern const Kernel kPreluKernel;
extern const Kernel kQuantizeKernel;
extern const Kernel kReadVariableKernel;
extern const Kernel kReduceMaxKernel;
extern const Kernel kRelu6Kernel;
extern const Kernel kReluKernel;
extern const Kernel kReshapeKernel;
extern const Kernel kResizeBilinearKernel;
extern const Kernel kResizeNearestNeighborKernel;
extern const Kernel kSliceKernel;
extern const Kernel kSoftmaxKernel;
extern const Kernel kSplitKernel;
extern const Kernel kSplitVKernel;
extern const Kernel kSqueezeKernel;
extern const Kernel kStridedSliceKernel;
extern const Kernel kSubKernel;
extern const Kernel kTanhKernel;
extern const Kernel kTransposeConvKernel;
extern const Kernel kTransposeKernel;
extern const Kernel kUnidirectionalSequenceLstmKernel;
extern const Kernel kUnpackKernel;

namespace {

const Kernel* const kKernels[] = {
    &kAddKernel,
    &kAveragePoolKernel,
    &kBatchMatmulKernel,
    &kConcatenationKernel,
    &kConvKernel,
    &kDepthwiseConvKernel,
    &kExpandDimsKernel,
    &kFullyConnectedKernel,
    &kGatherKernel,
    &kHardSwishKernel,
    &kLeakyReluKernel,
    &kLogisticKernel,
    &kMaxPoolKernel,
    &kMaximumKernel,
    &kMeanKernel,
    &kMinimumKernel,
    &kMulKernel,
    &kPackKernel,
    &kPadKernel,
    &kPadV2Kernel,
    &kPreluKernel,
    &kQuantizeKernel,
    &kReadVariableKernel,
    &kReduceMaxKernel,
    &kRelu6Kernel,
    &kReluKernel,
    &kReshapeKernel,
    &kResizeBilinearKernel,
    &kResizeNearestNeighborKernel,
    &kSliceKernel,
    &kSoftmaxKernel,
    &kSplitKernel,
    &kSplitVKernel,
    &kSqueezeKernel,
    &kStridedSliceKernel,
    &kSubKernel,
    &kTanhKernel,
    &kTransposeConvKernel,
    &kUnidirectionalSequenceLstmKernel,
    &kTransposeKernel,
    &kUnpackKernel,
};

}  // namespace

const Kernel* KernelAt(uint32_t index) { return kKernels[index]; }

uint32_t FindKernel(BuiltinOp code) {
  for (uint32_t i = 0; i < sizeof(kKernels) / sizeof(kKernels[0]); ++i) {
    if (kKernels[i]->code == code) return i;
  }
  return kNoKernel;
}

}  // namespace tinymia
