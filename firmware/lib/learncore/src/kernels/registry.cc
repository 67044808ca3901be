#include "kernels/kernel.h"

namespace tinymia {

extern const Kernel kAddKernel;
extern const Kernel kAveragePoolKernel;
extern const Kernel kConvKernel;
extern const Kernel kDepthwiseConvKernel;
extern const Kernel kExpandDimsKernel;
extern const Kernel kFullyConnectedKernel;
extern const Kernel kMaxPoolKernel;
extern const Kernel kMeanKernel;
extern const Kernel kPadKernel;
extern const Kernel kPadV2Kernel;
extern const Kernel kRelu6Kernel;
extern const Kernel kReluKernel;
extern const Kernel kReshapeKernel;
extern const Kernel kSoftmaxKernel;
extern const Kernel kSqueezeKernel;

namespace {

const Kernel* const kKernels[] = {
    &kAddKernel,        &kAveragePoolKernel,    &kConvKernel,    &kDepthwiseConvKernel,
    &kExpandDimsKernel, &kFullyConnectedKernel, &kMaxPoolKernel, &kMeanKernel,
    &kPadKernel,        &kPadV2Kernel,          &kRelu6Kernel,   &kReluKernel,
    &kReshapeKernel,    &kSoftmaxKernel,        &kSqueezeKernel,
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
