// Operators that only move bytes, as one strided copy: TRANSPOSE, STRIDED_SLICE, SLICE,
// DEPTH_TO_SPACE, SPACE_TO_DEPTH.
#include "kernels/kernel.h"

namespace tinymia {
namespace {

// Walks the output in order, right-aligned to four dimensions.
struct MoveParams {
  int32_t dims[4] = {1, 1, 1, 1};       // of the output
  int32_t strides[4] = {0, 0, 0, 0};    // in the input
  int32_t start = 0;                    // in the input
  int32_t outer = 1, outer_stride = 0;  // a fifth, around them
};

TINYMIA_AT_LOAD Status UseBoth(PrepareContext* context, Tensor* input, Tensor* output) {
  Status status = context->UseInput(0, 0, input);
  if (status == Status::kOk) status = context->UseOutput(output);
  return status;
}

int32_t StrideOf(const Tensor& tensor, int32_t axis) {
  int32_t stride = 1;
  for (int32_t i = axis + 1; i < tensor.rank; ++i) stride *= tensor.dims[i];
  return stride;
}

// A constant with one number a dimension.
TINYMIA_AT_LOAD Status ReadList(PrepareContext* context, uint32_t operand, int32_t count,
                                Tensor* list) {
  const Status status = context->ReadInt32(operand, list);
  if (status != Status::kOk) return status;
  return list->elements == static_cast<uint32_t>(count) ? Status::kOk
                                                        : Status::kModelUnsupportedShape;
}

// Puts axes of the output, with their strides in the input, into as few as do.
void Merge(const int32_t* dims, const int32_t* strides, int32_t count, MoveParams* p) {
  int32_t at = 4;
  int32_t next = 0;  // stride of an axis that would lie around the one before
  for (int32_t i = Min(count, kMaxRank) - 1; i >= 0; --i) {
    if (dims[i] == 1) continue;
    if (at < 4 && strides[i] == next) {
      p->dims[at] *= dims[i];
    } else {
      if (at == 0) {  // there are five at most, so this is the last
        p->outer = dims[i];
        p->outer_stride = strides[i];
        return;
      }
      --at;
      p->dims[at] = dims[i];
      p->strides[at] = strides[i];
    }
    next = p->dims[at] * p->strides[at];
  }
}

TINYMIA_AT_LOAD Status PrepareTranspose(PrepareContext* context) {
  Tensor input, output, order;
  context->TakeAnyRank();
  Status status = UseBoth(context, &input, &output);
  if (status == Status::kOk) status = ReadList(context, 1, input.rank, &order);
  if (status != Status::kOk) return status;
  if (output.rank != input.rank) return Status::kModelUnsupportedShape;
  int32_t strides[kMaxRank] = {};
  uint32_t seen = 0;
  for (int32_t i = 0; i < input.rank; ++i) {
    const int32_t from = context->model()->Int32At(order, static_cast<uint32_t>(i));
    if (from < 0 || from >= input.rank) return Status::kModelMalformed;
    if (output.dims[i] != input.dims[from]) return Status::kModelUnsupportedShape;
    seen |= 1u << from;
    strides[i] = StrideOf(input, from);
  }
  if (seen != (1u << input.rank) - 1) return Status::kModelMalformed;
  MoveParams p;
  Merge(output.dims, strides, input.rank, &p);
  context->SaveParams(p);
  return Status::kOk;
}

TINYMIA_AT_LOAD Status PrepareSlice(PrepareContext* context) {
  Tensor input, output, begins, sizes;
  Status status = UseBoth(context, &input, &output);
  if (status == Status::kOk) status = ReadList(context, 1, input.rank, &begins);
  if (status == Status::kOk) status = ReadList(context, 2, input.rank, &sizes);
  if (status != Status::kOk) return status;
  if (output.rank != input.rank) return Status::kModelUnsupportedShape;
  MoveParams p;
  for (int32_t i = 0; i < input.rank; ++i) {
    const int32_t begin = context->model()->Int32At(begins, static_cast<uint32_t>(i));
    int32_t size = context->model()->Int32At(sizes, static_cast<uint32_t>(i));
    if (begin < 0 || begin >= input.dims[i]) return Status::kModelMalformed;
    if (size == -1) size = input.dims[i] - begin;
    if (size < 1 || size > input.dims[i] - begin) return Status::kModelMalformed;
    if (output.dims[i] != size) return Status::kModelUnsupportedShape;
    const int32_t stride = StrideOf(input, i);
    p.dims[4 - input.rank + i] = size;
    p.strides[4 - input.rank + i] = stride;
    p.start += begin * stride;
  }
  context->SaveParams(p);
  return Status::kOk;
}

struct Range {
  int32_t first;
  int32_t count;
};

// Elements of one axis from `begin` to before `end` (absent: all of that side) in steps.
TINYMIA_AT_LOAD Range Steps(int32_t size, int32_t begin, int32_t end, int32_t step, bool all_before,
                            bool all_behind, bool only_one) {
  const int32_t low = step > 0 ? 0 : -1;
  const int32_t high = step > 0 ? size : size - 1;
  int32_t first = Clamp(begin < 0 ? begin + size : begin, low, high);
  if (all_before) first = step > 0 ? 0 : size - 1;
  if (only_one) return {first, first < size && first >= 0 ? 1 : 0};
  int32_t last = Clamp(end < 0 ? end + size : end, low, high);
  if (all_behind) last = step > 0 ? size : -1;
  const int64_t distance =
      step > 0 ? static_cast<int64_t>(last) - first : static_cast<int64_t>(first) - last;
  const int64_t width = step > 0 ? step : -static_cast<int64_t>(step);
  return {first, distance <= 0 ? 0 : static_cast<int32_t>((distance + width - 1) / width)};
}

TINYMIA_AT_LOAD Status PrepareStridedSlice(PrepareContext* context) {
  Tensor input, output, begins, ends, steps;
  Status status = UseBoth(context, &input, &output);
  if (status == Status::kOk) status = ReadList(context, 1, input.rank, &begins);
  if (status == Status::kOk) status = ReadList(context, 2, input.rank, &ends);
  if (status == Status::kOk) status = ReadList(context, 3, input.rank, &steps);
  if (status != Status::kOk) return status;
  if (context->options_type() != OptionsType::kStridedSlice) return Status::kModelMalformed;
  const FbTable& options = context->options();
  const uint32_t begin_mask = options.Scalar<uint32_t>(0, 0);
  const uint32_t end_mask = options.Scalar<uint32_t>(1, 0);
  const uint32_t shrink = options.Scalar<uint32_t>(4, 0);
  // The reference does not read these three.
  if (options.Scalar<uint32_t>(2, 0) != 0 || options.Scalar<uint32_t>(3, 0) != 0 ||
      options.Scalar<uint8_t>(5, 0) != 0) {
    return Status::kModelUnsupportedOp;
  }
  MoveParams p;
  int32_t rank = 0;
  for (int32_t i = 0; i < input.rank; ++i) {
    TfliteModel* model = context->model();
    const uint32_t at = static_cast<uint32_t>(i);
    const uint32_t bit = 1u << i;
    const int32_t step = model->Int32At(steps, at);
    if (step == 0) return Status::kModelMalformed;
    const Range range =
        Steps(input.dims[i], model->Int32At(begins, at), model->Int32At(ends, at), step,
              (begin_mask & bit) != 0, (end_mask & bit) != 0, (shrink & bit) != 0);
    if (range.count < 1) return Status::kModelUnsupportedShape;
    const int32_t stride = StrideOf(input, i);
    p.dims[4 - input.rank + i] = range.count;
    p.strides[4 - input.rank + i] = range.count == 1 ? 0 : stride * step;
    p.start += range.first * stride;
    if ((shrink & bit) != 0) continue;
    if (rank >= output.rank || output.dims[rank] != range.count) {
      return Status::kModelUnsupportedShape;
    }
    ++rank;
  }
  if (rank != output.rank) return Status::kModelUnsupportedShape;
  context->SaveParams(p);
  return Status::kOk;
}

// Whether `deep` is `wide` with blocks of b x b points put into one.
TINYMIA_AT_LOAD bool IsDeeper(const Tensor& deep, const Tensor& wide, int64_t b) {
  return deep.rank == 4 && wide.rank == 4 && b >= 1 && b < 4096 && deep.dims[0] == wide.dims[0] &&
         deep.dims[1] * b == wide.dims[1] && deep.dims[2] * b == wide.dims[2] &&
         deep.dims[3] == wide.dims[3] * b * b;
}

TINYMIA_AT_LOAD Status PrepareDepthToSpace(PrepareContext* context) {
  Tensor input, output;
  const Status status = UseBoth(context, &input, &output);
  if (status != Status::kOk) return status;
  if (context->options_type() != OptionsType::kDepthToSpace) return Status::kModelMalformed;
  const int32_t block = context->options().Scalar<int32_t>(0, 0);
  if (!IsDeeper(input, output, block)) return Status::kModelUnsupportedShape;
  const int32_t run = block * output.dims[3];  // neighbours in both
  MoveParams p;
  const int32_t dims[4] = {input.dims[0] * input.dims[1], block, input.dims[2], run};
  const int32_t strides[4] = {StrideOf(input, 1), run, input.dims[3], 1};
  memcpy(p.dims, dims, sizeof dims);
  memcpy(p.strides, strides, sizeof strides);
  context->SaveParams(p);
  return Status::kOk;
}

TINYMIA_AT_LOAD Status PrepareSpaceToDepth(PrepareContext* context) {
  Tensor input, output;
  const Status status = UseBoth(context, &input, &output);
  if (status != Status::kOk) return status;
  if (context->options_type() != OptionsType::kSpaceToDepth) return Status::kModelMalformed;
  const int32_t block = context->options().Scalar<int32_t>(0, 0);
  if (!IsDeeper(output, input, block)) return Status::kModelUnsupportedShape;
  const int32_t run = block * input.dims[3];
  const int32_t row = StrideOf(input, 1);
  MoveParams p;
  const int32_t dims[4] = {output.dims[0] * output.dims[1], output.dims[2], block, run};
  const int32_t strides[4] = {block * row, run, row, 1};
  memcpy(p.dims, dims, sizeof dims);
  memcpy(p.strides, strides, sizeof strides);
  context->SaveParams(p);
  return Status::kOk;
}

template <typename T>
T* Copy(const MoveParams& p, const T* input, T* output) {
  for (int32_t i = 0; i < p.dims[0]; ++i) {
    for (int32_t j = 0; j < p.dims[1]; ++j) {
      for (int32_t k = 0; k < p.dims[2]; ++k) {
        const T* from = input + i * p.strides[0] + j * p.strides[1] + k * p.strides[2];
        if (p.strides[3] == 1) {
          memcpy(output, from, static_cast<size_t>(p.dims[3]) * sizeof(T));
          output += p.dims[3];
          continue;
        }
        for (int32_t n = 0; n < p.dims[3]; ++n, from += p.strides[3]) *output++ = *from;
      }
    }
  }
  return output;
}

template <typename T>
void Eval(const EvalContext& context, const Node& node) {
  const MoveParams& p = context.Params<MoveParams>(node);
  const T* input = context.Const<T>(node.inputs[0]) + p.start;
  T* output = context.Mutable<T>(node.output);
  for (int32_t o = 0; o < p.outer; ++o) output = Copy(p, input + o * p.outer_stride, output);
}

}  // namespace

extern const Kernel kTransposeKernel;
extern const Kernel kSliceKernel;
extern const Kernel kStridedSliceKernel;
extern const Kernel kDepthToSpaceKernel;
extern const Kernel kSpaceToDepthKernel;
const Kernel kDepthToSpaceKernel = {BuiltinOp::kDepthToSpace, PrepareDepthToSpace, Eval<int8_t>};
const Kernel kSpaceToDepthKernel = {BuiltinOp::kSpaceToDepth, PrepareSpaceToDepth, Eval<int8_t>};
const Kernel kTransposeKernel = {BuiltinOp::kTranspose, PrepareTranspose, Eval<int8_t>};
const Kernel kSliceKernel = {BuiltinOp::kSlice, PrepareSlice, Eval<int8_t>};
const Kernel kStridedSliceKernel = {BuiltinOp::kStridedSlice, PrepareStridedSlice, Eval<int8_t>};

// The reference has no others for int16.
extern const Kernel kWideTransposeKernel;
extern const Kernel kWideSliceKernel;
extern const Kernel kWideStridedSliceKernel;
const Kernel kWideTransposeKernel = {BuiltinOp::kTranspose, PrepareTranspose, Eval<int16_t>,
                                     Takes::kInt16};
const Kernel kWideSliceKernel = {BuiltinOp::kSlice, PrepareSlice, Eval<int16_t>, Takes::kInt16};
const Kernel kWideStridedSliceKernel = {BuiltinOp::kStridedSlice, PrepareStridedSlice,
                                        Eval<int16_t>, Takes::kInt16};

}  // namespace tinymia
