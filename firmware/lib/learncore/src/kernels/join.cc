// Many tensors to one along an axis, and one to many: CONCATENATION, PACK, SPLIT, SPLIT_V, UNPACK.
#include "kernels/kernel.h"

namespace tinymia {
namespace {

// The whole is `outer` rows, each of a run of bytes a part. Sizes follow in the arena.
struct JoinParams {
  uint32_t outer = 1;
  Ref runs = kNoRef;
};

bool Axis(int32_t axis, int32_t rank, int32_t* result) {
  *result = axis < 0 ? axis + rank : axis;
  return *result >= 0 && *result < rank;
}

uint32_t ElementBytes(const Tensor& tensor) { return tensor.bytes / tensor.elements; }

// Elements from dimension `first` to before `last`.
uint32_t Product(const Tensor& tensor, int32_t first, int32_t last) {
  uint32_t product = 1;
  for (int32_t i = first; i < last; ++i) product *= static_cast<uint32_t>(tensor.dims[i]);
  return product;
}

class Join {
 public:
  Join(PrepareContext* context, uint32_t parts, const Tensor& whole, int32_t axis)
      : context_(context), whole_(whole), axis_(axis) {
    params_.outer = Product(whole, 0, axis);
    runs_ = context->Allocate<uint32_t>(parts, &params_.runs);
    context->ListOperands(parts);
  }

  // `stacked`: the parts lack the axis along which they lie.
  TINYMIA_AT_LOAD Status Add(uint32_t i, const Tensor& part, bool stacked) {
    if (part.rank != whole_.rank - (stacked ? 1 : 0)) return Status::kModelUnsupportedShape;
    for (int32_t d = 0; d < whole_.rank; ++d) {
      if (d == axis_) continue;
      const int32_t of_part = part.dims[stacked && d > axis_ ? d - 1 : d];
      if (of_part != whole_.dims[d]) return Status::kModelUnsupportedShape;
    }
    const uint32_t length = stacked ? 1 : static_cast<uint32_t>(part.dims[axis_]);
    filled_ += length;
    if (runs_ != nullptr)
      runs_[i] = length * Product(whole_, axis_ + 1, whole_.rank) * ElementBytes(whole_);
    return Status::kOk;
  }

  Status Finish() {
    if (filled_ != static_cast<uint32_t>(whole_.dims[axis_])) return Status::kModelUnsupportedShape;
    context_->SaveParams(params_);
    return Status::kOk;
  }

 private:
  PrepareContext* context_;
  const Tensor& whole_;
  int32_t axis_;
  JoinParams params_;
  uint32_t* runs_ = nullptr;
  uint64_t filled_ = 0;
};

TINYMIA_AT_LOAD Status PrepareJoin(PrepareContext* context, int32_t stated_axis, bool stacked) {
  Tensor output;
  int32_t axis = 0;
  Status status = context->UseOutput(&output);
  if (status != Status::kOk) return status;
  if (!Axis(stated_axis, output.rank, &axis) || context->input_count() == 0) {
    return Status::kModelMalformed;
  }
  Join join(context, context->input_count(), output, axis);
  for (uint32_t i = 0; i < context->input_count(); ++i) {
    Tensor part;
    status = context->ListInput(i, &part);
    if (status == Status::kOk) status = join.Add(i, part, stacked);
    if (status != Status::kOk) return status;
    // The reference does not rescale, and refuses it here.
    if (!stacked && !SameScale(part, output)) return Status::kModelUnsupportedType;
  }
  return join.Finish();
}

TINYMIA_AT_LOAD Status PrepareConcatenation(PrepareContext* context) {
  if (context->options_type() != OptionsType::kConcatenation) return Status::kModelMalformed;
  if (context->options().Scalar<int8_t>(1, 0) != 0) return Status::kModelUnsupportedOp;
  return PrepareJoin(context, context->options().Scalar<int32_t>(0, 0), false);
}

TINYMIA_AT_LOAD Status PreparePack(PrepareContext* context) {
  if (context->options_type() != OptionsType::kPack) return Status::kModelMalformed;
  return PrepareJoin(context, context->options().Scalar<int32_t>(1, 0), true);
}

TINYMIA_AT_LOAD Status PrepareSplitOf(PrepareContext* context, uint32_t input_index,
                                      int32_t stated_axis, bool stacked) {
  Tensor input;
  int32_t axis = 0;
  Status status = context->UseInput(input_index, 0, &input);
  if (status != Status::kOk) return status;
  if (!Axis(stated_axis, input.rank, &axis) || context->output_count() == 0) {
    return Status::kModelMalformed;
  }
  Join join(context, context->output_count(), input, axis);
  for (uint32_t i = 0; i < context->output_count(); ++i) {
    Tensor part;
    status = context->ListOutput(i, &part);
    if (status == Status::kOk) status = join.Add(i, part, stacked);
    if (status != Status::kOk) return status;
  }
  return join.Finish();
}

TINYMIA_AT_LOAD Status ReadAxis(PrepareContext* context, uint32_t operand, int32_t* axis) {
  Tensor tensor;
  const Status status = context->ReadInt32(operand, &tensor);
  if (status != Status::kOk) return status;
  *axis = context->model()->Int32At(tensor, 0);
  return Status::kOk;
}

// SPLIT takes the axis first, SPLIT_V last; how long the parts are their shapes say.
TINYMIA_AT_LOAD Status PrepareSplit(PrepareContext* context) {
  int32_t axis = 0;
  const Status status = ReadAxis(context, 0, &axis);
  return status == Status::kOk ? PrepareSplitOf(context, 1, axis, false) : status;
}

TINYMIA_AT_LOAD Status PrepareSplitV(PrepareContext* context) {
  int32_t axis = 0;
  const Status status = ReadAxis(context, 2, &axis);
  return status == Status::kOk ? PrepareSplitOf(context, 0, axis, false) : status;
}

TINYMIA_AT_LOAD Status PrepareUnpack(PrepareContext* context) {
  if (context->options_type() != OptionsType::kUnpack) return Status::kModelMalformed;
  return PrepareSplitOf(context, 0, context->options().Scalar<int32_t>(1, 0), true);
}

void EvalJoin(const EvalContext& context, const Node& node) {
  const JoinParams& p = context.Params<JoinParams>(node);
  const uint32_t* runs = context.Const<uint32_t>(p.runs);
  int8_t* output = context.Output(node);
  for (uint32_t row = 0; row < p.outer; ++row) {
    for (uint32_t i = 0; i < node.operand_count; ++i) {
      const int8_t* part = context.Const<int8_t>(context.Operand(node, i));
      memcpy(output, part + row * runs[i], runs[i]);
      output += runs[i];
    }
  }
}

void EvalSplit(const EvalContext& context, const Node& node) {
  const JoinParams& p = context.Params<JoinParams>(node);
  const uint32_t* runs = context.Const<uint32_t>(p.runs);
  const int8_t* input = context.Input(node, 0);
  for (uint32_t row = 0; row < p.outer; ++row) {
    for (uint32_t i = 0; i < node.operand_count; ++i) {
      int8_t* part = context.Mutable<int8_t>(context.Operand(node, i));
      memcpy(part + row * runs[i], input, runs[i]);
      input += runs[i];
    }
  }
}

}  // namespace

extern const Kernel kConcatenationKernel;
extern const Kernel kPackKernel;
extern const Kernel kSplitKernel;
extern const Kernel kSplitVKernel;
extern const Kernel kUnpackKernel;
const Kernel kConcatenationKernel = {BuiltinOp::kConcatenation, PrepareConcatenation, EvalJoin,
                                     Takes::kBoth};
const Kernel kPackKernel = {BuiltinOp::kPack, PreparePack, EvalJoin, Takes::kBoth};
const Kernel kSplitKernel = {BuiltinOp::kSplit, PrepareSplit, EvalSplit, Takes::kBoth};
const Kernel kSplitVKernel = {BuiltinOp::kSplitV, PrepareSplitV, EvalSplit, Takes::kBoth};
const Kernel kUnpackKernel = {BuiltinOp::kUnpack, PrepareUnpack, EvalSplit, Takes::kBoth};

}  // namespace tinymia
