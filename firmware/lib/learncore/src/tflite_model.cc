#include "tflite_model.h"

#include "fixedpoint.h"

namespace tinymia {
namespace {

// Generous for a microcontroller, small enough that loading a hostile file stays quick.
constexpr uint32_t kMaxOperators = 512;
constexpr uint32_t kMaxTensors = 4096;
constexpr uint32_t kMaxOperands = 64;  // of one operator
constexpr uint32_t kMaxFileBytes = 0x7fffffff;
constexpr uint32_t kMaxTensorBytes = 1 << 23;  // sums of so many int8 fit in 32 bits

}  // namespace

TINYMIA_AT_LOAD Status TfliteModel::Open(uint32_t graph_index) {
  if (buffer_.size() < 8) return buffer_.Fail(Status::kModelTruncated);
  if (buffer_.size() > kMaxFileBytes) return buffer_.Fail(Status::kModelUnsupportedShape);
  if (memcmp(buffer_.data() + 4, "TFL3", 4) != 0) return buffer_.Fail(Status::kModelMalformed);
  const uint32_t root = buffer_.Follow(0);
  if (!buffer_.ok()) return status();
  const FbTable model(&buffer_, root);
  if (model.Scalar<uint32_t>(0, 0) != 3) return buffer_.Fail(Status::kModelMalformed);
  codes_ = model.Vector(1, 4);
  const FbVector graphs = model.Vector(2, 4);
  buffers_ = model.Vector(4, 4);
  const FbTable graph = TableAt(&buffer_, graphs, graph_index);
  tensors_ = graph.Vector(0, 4);
  const FbVector inputs = graph.Vector(1, 4);
  const FbVector outputs = graph.Vector(2, 4);
  operators_ = graph.Vector(3, 4);
  if (!buffer_.ok()) return status();
  graph_count_ = graphs.count;
  input_count_ = inputs.count;
  output_count_ = outputs.count;
  if (operators_.count > kMaxOperators || tensors_.count > kMaxTensors) {
    return buffer_.Fail(Status::kModelUnsupportedShape);
  }
  if (graph_index != 0) return status();
  if (inputs.count - 1 >= kMaxEnds || outputs.count - 1 >= kMaxEnds) {
    return buffer_.Fail(Status::kModelEnds);
  }
  const FbVector ends[2] = {inputs, outputs};
  return FoldEnds(ends);
}

TINYMIA_AT_LOAD FbTable TfliteModel::TensorTable(int32_t index) {
  last_tensor_ = index < 0 ? 0xFFFF : static_cast<uint32_t>(index);
  if (index >= 0) return TableAt(&buffer_, tensors_, static_cast<uint32_t>(index));
  buffer_.Fail(Status::kModelMalformed);
  return FbTable();
}

TINYMIA_AT_LOAD TensorType TfliteModel::TypeOf(int32_t index) {
  const FbTable table = TensorTable(index);
  return table.present() ? static_cast<TensorType>(table.Scalar<int8_t>(1, 0))
                         : TensorType::kFloat32;
}

// Whether `outer` holds the values of the int8 tensor `inner`, as floats or with 128 added.
TINYMIA_AT_LOAD bool TfliteModel::SameNumbers(int32_t outer, int32_t inner) {
  Tensor from, to;
  if (ReadTensor(outer, &from) != Status::kOk || ReadTensor(inner, &to) != Status::kOk) {
    return false;
  }
  if (from.elements != to.elements) return false;
  if (to.type == TensorType::kInt16) return from.type == TensorType::kFloat32;
  if (to.type != TensorType::kInt8) return false;
  // (So little apart that 255 steps are the same number of steps.)
  const float apart = from.scale - to.scale;
  const bool same_scale = (apart < 0 ? -apart : apart) <= 1e-6f * to.scale;
  return from.type == TensorType::kFloat32 ||
         (from.type == TensorType::kUint8 && same_scale && from.zero_point == to.zero_point + 128);
}

TINYMIA_AT_LOAD Status TfliteModel::FoldEnds(const FbVector* ends) {
  bool all_int8 = true;
  for (uint32_t side = 0; side < 2; ++side) {
    for (uint32_t e = 0; e < ends[side].count; ++e) {
      ends_[side][e] = Int32At(ends[side], e);
      all_int8 = all_int8 && TypeOf(ends_[side][e]) == TensorType::kInt8;
    }
  }
  for (uint32_t i = 0; !all_int8 && buffer_.ok() && i < operators_.count; ++i) {
    Operator op;
    if (ReadOperator(i, &op) != Status::kOk) return status();
    const bool quantizes = op.code == BuiltinOp::kQuantize || op.code == BuiltinOp::kDequantize;
    if (!quantizes || op.inputs.count != 1 || op.outputs.count != 1) continue;
    const int32_t tensors[2] = {Int32At(op.inputs, 0), Int32At(op.outputs, 0)};
    for (uint32_t side = 0; side < 2; ++side) {
      const int32_t outer = tensors[side];
      const int32_t inner = tensors[1 - side];
      for (uint32_t e = 0; e < ends[side].count; ++e) {
        if (ends_[side][e] != outer || TypeOf(outer) == TensorType::kInt8) continue;
        if (!SameNumbers(outer, inner) || folded_count_ == 2 * kMaxEnds) break;
        // (Another reader of this input finds that nothing computes it, and is refused.)
        ends_[side][e] = inner;
        folded_[folded_count_++] = static_cast<uint16_t>(i);
        break;
      }
    }
  }
  return status();
}

TINYMIA_AT_LOAD bool TfliteModel::Folded(uint32_t index, const Operator& op) {
  for (uint32_t i = 0; i < folded_count_; ++i) {
    if (folded_[i] == index) return true;
  }
  if (op.code == BuiltinOp::kCallOnce || op.code == BuiltinOp::kVarHandle ||
      op.code == BuiltinOp::kAssignVariable) {
    return true;
  }
  if (op.code == BuiltinOp::kQuantize) return false;
  for (uint32_t i = 0; i < op.outputs.count; ++i) {
    const TensorType type = TypeOf(Int32At(op.outputs, i));
    if (type != TensorType::kInt32 && type != TensorType::kInt64) return false;
  }
  return buffer_.ok() && op.outputs.count > 0;
}

TINYMIA_AT_LOAD bool TfliteModel::Wide(const Operator& op) {
  const FbVector sides[2] = {op.inputs, op.outputs};
  for (const FbVector& side : sides) {
    const int32_t first = side.count == 0 ? -1 : Int32At(side, 0);
    if (first < 0) continue;
    const TensorType type = TypeOf(first);
    if (type == TensorType::kInt16) return true;
    if (type == TensorType::kInt32 && op.code == BuiltinOp::kQuantize) return true;
  }
  return false;
}

TINYMIA_AT_LOAD Status TfliteModel::ReadShape(const FbTable& table, Tensor* tensor) {
  const FbVector shape = table.Vector(0, 4);
  if (!buffer_.ok()) return status();
  if (shape.count > kMaxRank) return buffer_.Fail(Status::kModelUnsupportedShape);
  tensor->rank = static_cast<int32_t>(shape.count);
  uint64_t elements = 1;
  for (uint32_t i = 0; i < shape.count; ++i) {
    const int32_t dim = Int32At(shape, i);
    if (dim < 1) return buffer_.Fail(Status::kModelUnsupportedShape);
    elements *= static_cast<uint32_t>(dim);
    if (elements > kMaxTensorBytes) return buffer_.Fail(Status::kModelUnsupportedShape);
    tensor->dims[i] = dim;
  }
  tensor->elements = static_cast<uint32_t>(elements);
  return status();
}

TINYMIA_AT_LOAD Status TfliteModel::ReadQuantization(const FbTable& table, Tensor* tensor) {
  const FbTable quantization = table.Table(4);
  if (!quantization.present()) return status();
  tensor->scales = quantization.Vector(2, 4);
  tensor->zero_points = quantization.Vector(3, 8);
  tensor->quantized_dimension = quantization.Scalar<int32_t>(6, 0);
  if (quantization.Scalar<uint8_t>(4, 0) != 0) {  // a scheme other than affine
    return buffer_.Fail(Status::kModelUnsupportedType);
  }
  if (tensor->scales.count > 0) {
    tensor->scale = FloatAt(tensor->scales, 0);
    if (!IsFinite(tensor->scale) || tensor->scale < 0) {
      return buffer_.Fail(Status::kModelMalformed);
    }
  }
  if (tensor->zero_points.count > 0) {
    const int64_t zero_point = buffer_.Read<int64_t>(tensor->zero_points.pos);
    int32_t lowest = INT8_MIN;
    int32_t range = UINT8_MAX;
    if (tensor->type == TensorType::kUint8) lowest = 0;
    if (tensor->type == TensorType::kInt16) {
      lowest = INT16_MIN;
      range = UINT16_MAX;
    }
    if (zero_point < lowest || zero_point > lowest + range) {
      const bool int8 = tensor->type == TensorType::kInt8;
      return buffer_.Fail(int8 ? Status::kModelMalformed : Status::kModelUnsupportedType);
    }
    tensor->zero_point = static_cast<int32_t>(zero_point);
  }
  return status();
}

TINYMIA_AT_LOAD Status TfliteModel::ReadData(const FbTable& table, Tensor* tensor) {
  const uint32_t index = table.Scalar<uint32_t>(2, 0);
  const bool variable = table.Scalar<uint8_t>(5, 0) != 0;
  const bool sparse = table.Field(6, 4) != 0;
  const bool external = table.Scalar<uint32_t>(10, 0) != 0;
  if (variable || sparse || external) return buffer_.Fail(Status::kModelUnsupportedType);
  if (index == 0) return status();  // by convention the empty buffer
  const FbTable entry = TableAt(&buffer_, buffers_, index);
  const FbVector data = entry.Vector(0, 1);
  // Data outside of the flatbuffer, which the schema allows for files beyond 2 GB.
  if (entry.Scalar<uint64_t>(1, 0) > 1) return buffer_.Fail(Status::kModelUnsupportedShape);
  if (!buffer_.ok() || data.count == 0) return status();
  if (data.count != tensor->bytes) return buffer_.Fail(Status::kModelMalformed);
  tensor->data_pos = data.pos;
  return status();
}

TINYMIA_AT_LOAD Status TfliteModel::ReadKind(const FbTable& table, Tensor* tensor) {
  *tensor = Tensor();
  if (ReadShape(table, tensor) != Status::kOk) return status();
  tensor->type = static_cast<TensorType>(table.Scalar<int8_t>(1, 0));
  uint32_t element_bytes = 4;
  switch (tensor->type) {
    case TensorType::kInt8:
    case TensorType::kUint8:
      element_bytes = 1;
      break;
    case TensorType::kInt16:
      element_bytes = 2;
      break;
    case TensorType::kInt64:
      element_bytes = 8;
      break;
    case TensorType::kInt32:
    case TensorType::kFloat32:
      break;
    default:
      return buffer_.Fail(Status::kModelUnsupportedType);
  }
  tensor->bytes = tensor->elements * element_bytes;  // at most 2^26
  if (tensor->bytes > kMaxTensorBytes) return buffer_.Fail(Status::kModelUnsupportedShape);
  return ReadQuantization(table, tensor);
}

TINYMIA_AT_LOAD Status TfliteModel::ReadTensor(int32_t index, Tensor* tensor) {
  const FbTable table = TensorTable(index);
  return ReadKind(table, tensor) == Status::kOk ? ReadData(table, tensor) : status();
}

TINYMIA_AT_LOAD Status TfliteModel::ReadVariable(int32_t index, Tensor* tensor) {
  const FbTable table = TensorTable(index);
  if (ReadKind(table, tensor) != Status::kOk) return status();
  const bool variable = table.Scalar<uint8_t>(5, 0) != 0;
  return variable ? status() : buffer_.Fail(Status::kModelMalformed);
}

TINYMIA_AT_LOAD Status TfliteModel::ReadOperator(uint32_t index, Operator* op) {
  *op = Operator();
  const FbTable table = TableAt(&buffer_, operators_, index);
  const FbTable code = TableAt(&buffer_, codes_, table.Scalar<uint32_t>(0, 0));
  // Old files have only the byte-wide field, new ones may have both: the larger one is meant.
  op->code =
      static_cast<BuiltinOp>(Max<int32_t>(code.Scalar<int8_t>(0, 0), code.Scalar<int32_t>(3, 0)));
  op->inputs = table.Vector(1, 4);
  op->outputs = table.Vector(2, 4);
  op->options_type = static_cast<OptionsType>(table.Scalar<uint8_t>(3, 0));
  op->options = table.Table(4);
  if (buffer_.ok() && (op->inputs.count > kMaxOperands || op->outputs.count > kMaxOperands)) {
    return buffer_.Fail(Status::kModelUnsupportedShape);
  }
  return status();
}

}  // namespace tinymia
