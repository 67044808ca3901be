#include "chosen.h"
#include "kernels/kernel.h"

// Every operator: BuiltinOp::kNAME is done by kNAMEKernel ...
#define TINYMIA_KERNELS(K)      \
  K(Add)                        \
  K(AveragePool2d)              \
  K(BatchMatmul)                \
  K(BatchToSpaceNd)             \
  K(Concatenation)              \
  K(Conv2d)                     \
  K(DepthToSpace)               \
  K(DepthwiseConv2d)            \
  K(ExpandDims)                 \
  K(FullyConnected)             \
  K(Gather)                     \
  K(HardSwish)                  \
  K(LeakyRelu)                  \
  K(Logistic)                   \
  K(MaxPool2d)                  \
  K(Maximum)                    \
  K(Mean)                       \
  K(Minimum)                    \
  K(Mul)                        \
  K(Pack)                       \
  K(Pad)                        \
  K(PadV2)                      \
  K(Prelu)                      \
  K(Quantize)                   \
  K(ReadVariable)               \
  K(ReduceMax)                  \
  K(ReduceMin)                  \
  K(Relu)                       \
  K(Relu6)                      \
  K(Reshape)                    \
  K(ResizeBilinear)             \
  K(ResizeNearestNeighbor)      \
  K(Slice)                      \
  K(Softmax)                    \
  K(SpaceToBatchNd)             \
  K(SpaceToDepth)               \
  K(Split)                      \
  K(SplitV)                     \
  K(Squeeze)                    \
  K(StridedSlice)               \
  K(Sub)                        \
  K(Sum)                        \
  K(Svdf)                       \
  K(Tanh)                       \
  K(Transpose)                  \
  K(TransposeConv)              \
  K(UnidirectionalSequenceLstm) \
  K(Unpack)
// ... and on int16 by kWideNAMEKernel, where that is another one.
#define TINYMIA_WIDE_KERNELS(K) \
  K(Add)                        \
  K(AveragePool2d)              \
  K(Conv2d)                     \
  K(DepthwiseConv2d)            \
  K(FullyConnected)             \
  K(LeakyRelu)                  \
  K(Logistic)                   \
  K(MaxPool2d)                  \
  K(Maximum)                    \
  K(Mean)                       \
  K(Minimum)                    \
  K(Mul)                        \
  K(Pad)                        \
  K(PadV2)                      \
  K(Quantize)                   \
  K(Relu)                       \
  K(Relu6)                      \
  K(Slice)                      \
  K(Softmax)                    \
  K(StridedSlice)               \
  K(Sub)                        \
  K(Sum)                        \
  K(Tanh)                       \
  K(Transpose)                  \
  K(TransposeConv)

namespace tinymia {

#define TINYMIA_DECLARE(name) extern const Kernel k##name##Kernel;
#define TINYMIA_DECLARE_WIDE(name) extern const Kernel kWide##name##Kernel;
TINYMIA_KERNELS(TINYMIA_DECLARE)
TINYMIA_WIDE_KERNELS(TINYMIA_DECLARE_WIDE)

namespace {

constexpr bool Has(BuiltinOp code) { return HasOperator(static_cast<int32_t>(code)); }
constexpr bool HasWide(BuiltinOp code) { return HasWideOperator(static_cast<int32_t>(code)); }

constexpr uint32_t Count() {
  uint32_t n = 0;
#define TINYMIA_COUNT(name) \
  if (Has(BuiltinOp::k##name)) ++n;
#define TINYMIA_COUNT_WIDE(name) \
  if (HasWide(BuiltinOp::k##name)) ++n;
  TINYMIA_KERNELS(TINYMIA_COUNT)
  TINYMIA_WIDE_KERNELS(TINYMIA_COUNT_WIDE)
  return n;
}

struct Table {
  const Kernel* kernels[Count() + 1];  // a null pointer ends it
};

constexpr Table Chosen() {
  Table table = {};
  uint32_t n = 0;
#define TINYMIA_PLACE(name) \
  if (Has(BuiltinOp::k##name)) table.kernels[n++] = &k##name##Kernel;
#define TINYMIA_PLACE_WIDE(name) \
  if (HasWide(BuiltinOp::k##name)) table.kernels[n++] = &kWide##name##Kernel;
  TINYMIA_KERNELS(TINYMIA_PLACE)
  TINYMIA_WIDE_KERNELS(TINYMIA_PLACE_WIDE)
  return table;
}

// Kernels that are not in it are not linked.
constexpr Table kTable = Chosen();

}  // namespace

const Kernel* KernelAt(uint32_t index) { return kTable.kernels[index]; }

uint32_t FindKernel(BuiltinOp code, Takes takes) {
  for (uint32_t i = 0; kTable.kernels[i] != nullptr; ++i) {
    const Kernel& kernel = *kTable.kernels[i];
    const bool fits = (static_cast<int>(kernel.takes) & static_cast<int>(takes)) != 0;
    if (kernel.code == code && fits) return i;
  }
  return kNoKernel;
}

bool LeftOut(BuiltinOp code, Takes takes) {
#define TINYMIA_CASE(name) case BuiltinOp::k##name:
  if (takes == Takes::kInt16) {
    switch (code) {
      TINYMIA_WIDE_KERNELS(TINYMIA_CASE)
      return !HasWide(code);
      default:
        break;  // one kernel may take both
    }
  }
  switch (code) {
    TINYMIA_KERNELS(TINYMIA_CASE)
    return !Has(code);
    default:
      return false;
  }
}

}  // namespace tinymia
