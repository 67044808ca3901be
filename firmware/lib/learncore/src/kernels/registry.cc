#include "chosen.h"
#include "kernels/kernel.h"

// Every operator: BuiltinOp::kNAME is done by kNAMEKernel.
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
  K(Relu6)                      \
  K(Relu)                       \
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
  K(Tanh)                       \
  K(TransposeConv)              \
  K(Transpose)                  \
  K(UnidirectionalSequenceLstm) \
  K(Unpack)

namespace tinymia {

#define TINYMIA_DECLARE(name) extern const Kernel k##name##Kernel;
TINYMIA_KERNELS(TINYMIA_DECLARE)

namespace {

constexpr bool Has(BuiltinOp code) { return HasOperator(static_cast<int32_t>(code)); }

constexpr uint32_t Count() {
  uint32_t n = 0;
#define TINYMIA_COUNT(name) \
  if (Has(BuiltinOp::k##name)) ++n;
  TINYMIA_KERNELS(TINYMIA_COUNT)
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
  TINYMIA_KERNELS(TINYMIA_PLACE)
  return table;
}

// Kernels that are not in it are not linked.
constexpr Table kTable = Chosen();

}  // namespace

const Kernel* KernelAt(uint32_t index) { return kTable.kernels[index]; }

uint32_t FindKernel(BuiltinOp code) {
  for (uint32_t i = 0; kTable.kernels[i] != nullptr; ++i) {
    if (kTable.kernels[i]->code == code) return i;
  }
  return kNoKernel;
}

bool LeftOut(BuiltinOp code) {
#define TINYMIA_CASE(name) case BuiltinOp::k##name:
  switch (code) {
    TINYMIA_KERNELS(TINYMIA_CASE)
    return !Has(code);
    default:
      return false;
  }
}

}  // namespace tinymia
