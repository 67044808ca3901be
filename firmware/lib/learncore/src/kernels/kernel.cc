#include "kernels/kernel.h"

namespace tinymia {

Status PrepareContext::ReadInput(uint32_t i, Tensor* tensor) {
  if (i >= op_->inputs.count) return Status::kModelMalformed;
  return model_->ReadTensor(model_->Int32At(op_->inputs, i), tensor);
}

Status PrepareContext::ReadOutput(Tensor* tensor) {
  return model_->ReadTensor(model_->Int32At(op_->outputs, 0), tensor);
}

Status PrepareContext::UseInput(uint32_t i, uint32_t slot, Tensor* tensor) {
  const Status status = ReadInput(i, tensor);
  if (status != Status::kOk) return status;
  if (tensor->type != TensorType::kInt8) return Status::kModelUnsupportedType;
  if (!(tensor->scale > 0)) return Status::kModelMalformed;
  node_->inputs[slot] = static_cast<Ref>(model_->Int32At(op_->inputs, i));
  return Status::kOk;
}

Status PrepareContext::UseOutput(Tensor* tensor) {
  const Status status = ReadOutput(tensor);
  if (status != Status::kOk) return status;
  if (tensor->type != TensorType::kInt8) return Status::kModelUnsupportedType;
  if (!(tensor->scale > 0)) return Status::kModelMalformed;
  node_->output = static_cast<Ref>(model_->Int32At(op_->outputs, 0));
  return Status::kOk;
}

Status PrepareContext::ReadInt32(uint32_t i, Tensor* tensor) {
  const Status status = ReadInput(i, tensor);
  if (status != Status::kOk) return status;
  if (tensor->type != TensorType::kInt32) return Status::kModelUnsupportedType;
  if (!tensor->constant()) return Status::kModelUnsupportedShape;
  return Status::kOk;
}

}  // namespace tinymia
