// PAD (with the real value zero) and PADV2 (with a constant).
#include "kernels/kernel.h"
#include "kernels/quantization.h"

namespace tinymia {
namespace {

// Shapes are right-aligned to four dimensions.
struct PadParams {
  int32_t input[4] = {1, 1, 1, 1};
  int32_t before[4] = {0, 0, 0, 0};
  int32_t output[4] = {1, 1, 1, 1};
  uint32_t output_elements = 0;
  int32_t value = 0;
};

Status Prepare(PrepareContext* context) {
  Tensor input, paddings, output;
  Status status = context->UseInput(0, 0, &input);
  if (status == Status::kOk) status = context->ReadInt32(1, &paddings);
  if (status == Status::kOk) status = context->UseOutput(&output);
  if (status != Status::kOk) return status;
  const int32_t rank = input.rank;
  if (output.rank != rank || paddings.elements != static_cast<uint32_t>(2 * rank)) {
    return Status::kModelUnsupportedShape;
  }
  PadParams p;
  for (int32_t i = 0; i < rank; ++i) {
    const int32_t before = context->model()->Int32At(paddings, static_cast<uint32_t>(2 * i));
    const int32_t after = context->model()->Int32At(paddings, static_cast<uint32_t>(2 * i + 1));
    const int64_t sum = static_cast<int64_t>(input.dims[i]) + before + after;
    if (before < 0 || after < 0 || sum != output.dims[i]) return Status::kModelUnsupportedShape;
    const int32_t to = 4 - rank + i;
    p.input[to] = input.dims[i];
    p.before[to] = before;
    p.output[to] = output.dims[i];
  }
  const bool wide = output.type == TensorType::kInt16;
  p.output_elements = output.elements;
  p.value =
      wide ? 0 : output.zero_point;  // whatever the zero point of 16 bits is, as the reference
  if (context->HasInput(2)) {
    Tensor value;
    status = context->ReadInput(2, &value);
    if (status != Status::kOk) return status;
    const bool same = value.zero_point == output.zero_point && !(value.scale < output.scale) &&
                      !(value.scale > output.scale);
    if (value.type != output.type || !same) return Status::kModelUnsupportedType;
    if (!value.constant() || value.elements != 1) return Status::kModelUnsupportedShape;
    p.value =
        wide ? context->model()->At<int16_t>(value, 0) : context->model()->At<int8_t>(value, 0);
  }
  context->SaveParams(p);
  return Status::kOk;
}

template <typename T>
void Eval(const EvalContext& context, const Node& node) {
  const PadParams& p = context.Params<PadParams>(node);
  const T* input = context.Const<T>(node.inputs[0]);
  T* output = context.Mutable<T>(node.output);
  if (sizeof(T) == 1) {
    memset(output, p.value, p.output_elements);
  } else {
    for (uint32_t i = 0; i < p.output_elements; ++i) output[i] = static_cast<T>(p.value);
  }
  const size_t run = static_cast<size_t>(p.input[3]);
  for (int32_t b = 0; b < p.input[0]; ++b) {
    for (int32_t y = 0; y < p.input[1]; ++y) {
      for (int32_t x = 0; x < p.input[2]; ++x) {
        const int32_t plane = (b + p.before[0]) * p.output[1] + y + p.before[1];
        const int32_t column = plane * p.output[2] + x + p.before[2];
        memcpy(output + column * p.output[3] + p.before[3], input, run * sizeof(T));
        input += run;
      }
    }
  }
}

}  // namespace

extern const Kernel kPadKernel;
extern const Kernel kPadV2Kernel;
const Kernel kPadKernel = {BuiltinOp::kPad, Prepare, Eval<int8_t>};
const Kernel kPadV2Kernel = {BuiltinOp::kPadV2, Prepare, Eval<int8_t>};

extern const Kernel kWidePadKernel;
extern const Kernel kWidePadV2Kernel;
const Kernel kWidePadKernel = {BuiltinOp::kPad, Prepare, Eval<int16_t>, Takes::kInt16};
const Kernel kWidePadV2Kernel = {BuiltinOp::kPadV2, Prepare, Eval<int16_t>, Takes::kInt16};

}  // namespace tinymia
