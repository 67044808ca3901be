// BATCH_MATMUL: matrices of the left times matrices of the right, with broadcasting.
#include "kernels/kernel.h"
#include "kernels/quantization.h"

namespace tinymia {
namespace {

struct MatmulParams {
  FixedMultiplier multiplier;
  int32_t zero_points[2], output_zero_point;
  int32_t rows, columns, depth;
  int32_t batches[2] = {1, 1};
  int32_t batch_strides[2][2];  // of left and right
  int32_t left_row, left_step;  // strides of rows, and along a sum
  int32_t right_column, right_step;
};

// Dimension of four, right-aligned.
int32_t Dim(const Tensor& tensor, int32_t i) {
  const int32_t at = i - (4 - tensor.rank);
  return at < 0 ? 1 : tensor.dims[at];
}

constexpr int32_t kMaxDepth = 32768;  // of products of nine bits each

TINYMIA_AT_LOAD Status Prepare(PrepareContext* context) {
  Tensor inputs[2], output;
  Status status = context->UseInput(0, 0, &inputs[0]);
  if (status == Status::kOk) status = context->UseInput(1, 1, &inputs[1]);
  if (status == Status::kOk) status = context->UseOutput(&output);
  if (status != Status::kOk) return status;
  if (context->options_type() != OptionsType::kBatchMatmul) return Status::kModelMalformed;
  const Tensor& left = inputs[0];
  const Tensor& right = inputs[1];
  if (left.rank < 2 || right.rank < 2 || output.rank != Max(left.rank, right.rank)) {
    return Status::kModelUnsupportedShape;
  }
  const bool left_turned = context->options().Scalar<uint8_t>(0, 0) != 0;
  const bool right_turned = context->options().Scalar<uint8_t>(1, 0) != 0;
  MatmulParams p;
  p.rows = Dim(left, left_turned ? 3 : 2);
  p.depth = Dim(left, left_turned ? 2 : 3);
  p.columns = Dim(right, right_turned ? 2 : 3);
  p.left_row = left_turned ? 1 : p.depth;
  p.left_step = left_turned ? p.rows : 1;
  p.right_column = right_turned ? p.depth : 1;
  p.right_step = right_turned ? 1 : p.columns;
  if (Dim(right, right_turned ? 3 : 2) != p.depth || p.depth > kMaxDepth ||
      Dim(output, 2) != p.rows || Dim(output, 3) != p.columns) {
    return Status::kModelUnsupportedShape;
  }
  for (int32_t i = 0; i < 2; ++i) {
    p.batches[i] = Max(Dim(left, i), Dim(right, i));
    if (Dim(output, i) != p.batches[i]) return Status::kModelUnsupportedShape;
    for (int32_t k = 0; k < 2; ++k) {
      const Tensor& t = inputs[k];
      if (Dim(t, i) != 1 && Dim(t, i) != p.batches[i]) return Status::kModelUnsupportedShape;
      const int32_t matrix = Dim(t, 2) * Dim(t, 3);
      p.batch_strides[k][i] = Dim(t, i) == 1 ? 0 : (i == 0 ? matrix * Dim(t, 1) : matrix);
    }
  }
  const double product = static_cast<double>(left.scale) * static_cast<double>(right.scale);
  if (!ToFixed(product / static_cast<double>(output.scale), &p.multiplier)) {
    return Status::kModelMalformed;
  }
  p.zero_points[0] = left.zero_point;
  p.zero_points[1] = right.zero_point;
  p.output_zero_point = output.zero_point;
  context->SaveParams(p);
  return Status::kOk;
}

void Eval(const EvalContext& context, const Node& node) {
  const MatmulParams& p = context.Params<MatmulParams>(node);
  int8_t* output = context.Output(node);
  for (int32_t batch = 0; batch < p.batches[0] * p.batches[1]; ++batch) {
    const int32_t i = batch / p.batches[1];
    const int32_t j = batch % p.batches[1];
    const int8_t* left =
        context.Input(node, 0) + i * p.batch_strides[0][0] + j * p.batch_strides[0][1];
    const int8_t* right =
        context.Input(node, 1) + i * p.batch_strides[1][0] + j * p.batch_strides[1][1];
    for (int32_t row = 0; row < p.rows; ++row, left += p.left_row) {
      for (int32_t column = 0; column < p.columns; ++column) {
        const int8_t* a = left;
        const int8_t* b = right + column * p.right_column;
        int32_t sum = 0;
        for (int32_t k = 0; k < p.depth; ++k, a += p.left_step, b += p.right_step) {
          sum += (*a - p.zero_points[0]) * (*b - p.zero_points[1]);
        }
        const int32_t scaled = WrapAdd(MultiplyByFixed(sum, p.multiplier), p.output_zero_point);
        *output++ = static_cast<int8_t>(Clamp(scaled, INT8_MIN, INT8_MAX));
      }
    }
  }
}

}  // namespace

extern const Kernel kBatchMatmulKernel;
const Kernel kBatchMatmulKernel = {BuiltinOp::kBatchMatmul, Prepare, Eval};

}  // namespace tinymia
