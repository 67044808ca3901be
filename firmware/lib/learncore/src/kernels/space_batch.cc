// SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND, which older converters put around dilated convolutions:
// every block_height-th row and block_width-th column make an image of their own. Padding is the
// zero point, as in TensorFlow Lite (its Micro never sets what it pads with).
#include "kernels/kernel.h"

namespace tinymia {
namespace {

struct SpaceBatchParams {
  int32_t batches, height, width, bytes;  // of the whole images, and of one of their points
  int32_t parts_height, parts_width;      // of the images that they are split to
  int32_t block_height = 1, block_width = 1;
  int32_t top = 0, left = 0;  // how much the parts begin before the whole
  int32_t fill;
};

// `whole` and `parts`: the images before or after they are split.
TINYMIA_AT_LOAD Status PrepareBoth(PrepareContext* context, const Tensor& whole,
                                   const Tensor& parts, int32_t fill) {
  Tensor block, edges;
  Status status = context->ReadInt32(1, &block);
  if (status == Status::kOk) status = context->ReadInt32(2, &edges);
  if (status != Status::kOk) return status;
  const int32_t spatial = whole.rank - 2;
  if (whole.rank < 3 || parts.rank != whole.rank ||
      block.elements != static_cast<uint32_t>(spatial) ||
      edges.elements != static_cast<uint32_t>(2 * spatial)) {
    return Status::kModelUnsupportedShape;
  }
  TfliteModel* model = context->model();
  SpaceBatchParams p;
  p.batches = whole.dims[0];
  p.bytes = whole.dims[whole.rank - 1];
  p.height = whole.dims[1];
  p.parts_height = parts.dims[1];
  p.width = spatial == 2 ? whole.dims[2] : 1;
  p.parts_width = spatial == 2 ? parts.dims[2] : 1;
  p.fill = fill;
  int64_t batches = p.batches;
  for (int32_t i = 0; i < spatial; ++i) {
    const int32_t size = model->Int32At(block, static_cast<uint32_t>(i));
    const int32_t before = model->Int32At(edges, static_cast<uint32_t>(2 * i));
    const int32_t after = model->Int32At(edges, static_cast<uint32_t>(2 * i + 1));
    constexpr int32_t kMost = 1 << 20;
    if (size < 1 || size > kMost || before < 0 || before > kMost || after < 0 || after > kMost ||
        static_cast<int64_t>(whole.dims[1 + i]) + before + after !=
            static_cast<int64_t>(parts.dims[1 + i]) * size) {
      return Status::kModelUnsupportedShape;
    }
    (i == 0 ? p.block_height : p.block_width) = size;
    (i == 0 ? p.top : p.left) = before;
    batches *= size;
    if (batches > parts.dims[0]) return Status::kModelUnsupportedShape;
  }
  if (batches != parts.dims[0] || parts.dims[parts.rank - 1] != p.bytes) {
    return Status::kModelUnsupportedShape;
  }
  context->SaveParams(p);
  return Status::kOk;
}

template <bool kSplits>
TINYMIA_AT_LOAD Status Prepare(PrepareContext* context) {
  Tensor input, output;
  Status status = context->UseInput(0, 0, &input);
  if (status == Status::kOk) status = context->UseOutput(&output);
  if (status != Status::kOk) return status;
  return kSplits ? PrepareBoth(context, input, output, output.zero_point)
                 : PrepareBoth(context, output, input, 0);
}

template <bool kSplits>
void Eval(const EvalContext& context, const Node& node) {
  const SpaceBatchParams& p = context.Params<SpaceBatchParams>(node);
  const size_t bytes = static_cast<size_t>(p.bytes);
  int32_t part = 0;  // the point of the parts that is next
  for (int32_t image = 0; image < p.batches * p.block_height * p.block_width; ++image) {
    const int32_t block = image / p.batches;
    for (int32_t i = 0; i < p.parts_height; ++i) {
      const int32_t y = i * p.block_height + block / p.block_width - p.top;
      for (int32_t j = 0; j < p.parts_width; ++j, ++part) {
        const int32_t x = j * p.block_width + block % p.block_width - p.left;
        const bool inside = y >= 0 && y < p.height && x >= 0 && x < p.width;
        const int32_t at = ((image % p.batches * p.height + y) * p.width + x) * p.bytes;
        if (!kSplits) {
          if (inside)
            memcpy(context.Output(node) + at, context.Input(node, 0) + part * p.bytes, bytes);
        } else if (inside) {
          memcpy(context.Output(node) + part * p.bytes, context.Input(node, 0) + at, bytes);
        } else {
          memset(context.Output(node) + part * p.bytes, p.fill, bytes);
        }
      }
    }
  }
}

}  // namespace

extern const Kernel kSpaceToBatchNdKernel;
extern const Kernel kBatchToSpaceNdKernel;
const Kernel kSpaceToBatchNdKernel = {BuiltinOp::kSpaceToBatchNd, Prepare<true>, Eval<true>};
const Kernel kBatchToSpaceNdKernel = {BuiltinOp::kBatchToSpaceNd, Prepare<false>, Eval<false>};

}  // namespace tinymia
