#include "kernels/kernel.h"

#include "loader.h"

namespace tinymia {

TINYMIA_AT_LOAD bool ToFixed(double value, FixedMultiplier* multiplier) {
  return QuantizeMultiplier(value, multiplier);
}

TINYMIA_AT_LOAD Status PrepareContext::ReadInput(uint32_t i, Tensor* tensor) {
  if (i >= op_->inputs.count) return Status::kModelMalformed;
  return CheckRank(model_->ReadTensor(model_->Int32At(op_->inputs, i), tensor), *tensor);
}

TINYMIA_AT_LOAD Status PrepareContext::ReadOutput(Tensor* tensor, uint32_t i) {
  if (i >= op_->outputs.count) return Status::kModelUnsupportedShape;
  return CheckRank(model_->ReadTensor(model_->Int32At(op_->outputs, i), tensor), *tensor);
}

TINYMIA_AT_LOAD Status PrepareContext::CheckData(const Tensor& tensor, TensorType type) const {
  if (tensor.type != type) return Status::kModelUnsupportedType;
  // Not every writer aligns constants; those of several bytes are read where they lie.
  if (tensor.constant() && type != TensorType::kInt8) {
    const auto at = reinterpret_cast<uintptr_t>(model_->data()) + tensor.data_pos;
    if (at % (type == TensorType::kInt16 ? 2 : 4) != 0) return Status::kModelUnsupportedType;
  }
  return tensor.scale > 0 ? Status::kOk : Status::kModelMalformed;
}

TINYMIA_AT_LOAD Status PrepareContext::UseInputOf(uint32_t i, uint32_t slot, TensorType type,
                                                  Tensor* tensor) {
  Status status = ReadInput(i, tensor);
  if (status == Status::kOk) status = CheckData(*tensor, type);
  if (status != Status::kOk) return status;
  node_->inputs[slot] = static_cast<Ref>(model_->Int32At(op_->inputs, i));
  return loader_->MarkRead(node_->inputs[slot], index_);
}

TINYMIA_AT_LOAD Status PrepareContext::UseOutputOf(TensorType type, Tensor* tensor) {
  Status status = ReadOutput(tensor);
  if (status == Status::kOk) status = CheckData(*tensor, type);
  if (status != Status::kOk) return status;
  node_->output = static_cast<Ref>(model_->Int32At(op_->outputs, 0));
  outputs_used_ = 1;
  return status;
}

TINYMIA_AT_LOAD Status PrepareContext::ListInput(uint32_t i, Tensor* tensor) {
  Status status = ReadInput(i, tensor);
  if (status == Status::kOk) status = CheckData(*tensor, data_type_);
  if (status != Status::kOk) return status;
  const Ref index = static_cast<Ref>(model_->Int32At(op_->inputs, i));
  if (operands_ != nullptr) operands_[i] = index;
  return loader_->MarkRead(index, index_);
}

TINYMIA_AT_LOAD Status PrepareContext::ListOutput(uint32_t i, Tensor* tensor) {
  Status status = ReadOutput(tensor, i);
  if (status == Status::kOk) status = CheckData(*tensor, data_type_);
  if (status != Status::kOk) return status;
  const Ref index = static_cast<Ref>(model_->Int32At(op_->outputs, i));
  if (operands_ != nullptr) operands_[i] = index;
  if (i == 0) node_->output = index;
  outputs_used_ = i + 1;
  return status;
}

TINYMIA_AT_LOAD Status PrepareContext::ReadState(uint32_t i, Tensor* tensor) {
  if (i >= op_->inputs.count) return Status::kModelMalformed;
  return CheckRank(model_->ReadVariable(model_->Int32At(op_->inputs, i), tensor), *tensor);
}

TINYMIA_AT_LOAD Status PrepareContext::ReadInt32(uint32_t i, Tensor* tensor) {
  const Status status = ReadInput(i, tensor);
  if (status != Status::kOk) return status;
  if (tensor->type != TensorType::kInt32) return Status::kModelUnsupportedType;
  if (!tensor->constant()) return Status::kModelUnsupportedShape;
  return Status::kOk;
}

}  // namespace tinymia
