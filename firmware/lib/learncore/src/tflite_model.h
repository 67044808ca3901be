// What the interpreter needs of a .tflite file (schema version 3), read on demand and checked.
#pragma once

#include <stdint.h>

#include "cold.h"
#include "flatbuffer.h"
#include "status.h"

namespace tinymia {

enum class TensorType : int8_t {
  kFloat32 = 0,
  kInt32 = 2,
  kUint8 = 3,
  kInt64 = 4,
  kInt16 = 7,
  kInt8 = 9
};

enum class BuiltinOp : int32_t {
  kAdd = 0,
  kAveragePool2d = 1,
  kConcatenation = 2,
  kConv2d = 3,
  kDepthwiseConv2d = 4,
  kDepthToSpace = 5,
  kDequantize = 6,
  kFullyConnected = 9,
  kLogistic = 14,
  kMaxPool2d = 17,
  kMul = 18,
  kRelu = 19,
  kRelu6 = 21,
  kReshape = 22,
  kResizeBilinear = 23,
  kSoftmax = 25,
  kSpaceToDepth = 26,
  kSvdf = 27,
  kTanh = 28,
  kPad = 34,
  kGather = 36,
  kBatchToSpaceNd = 37,
  kSpaceToBatchNd = 38,
  kTranspose = 39,
  kMean = 40,
  kSub = 41,
  kSqueeze = 43,
  kUnidirectionalSequenceLstm = 44,
  kStridedSlice = 45,
  kSplit = 49,
  kPrelu = 54,
  kMaximum = 55,
  kMinimum = 57,
  kPadV2 = 60,
  kSlice = 65,
  kTransposeConv = 67,
  kExpandDims = 70,
  kSum = 74,
  kReduceMax = 82,
  kPack = 83,
  kUnpack = 88,
  kReduceMin = 89,
  kResizeNearestNeighbor = 97,
  kLeakyRelu = 98,
  kSplitV = 102,
  kQuantize = 114,
  kHardSwish = 117,
  kBatchMatmul = 126,
  kCallOnce = 129,
  kVarHandle = 142,
  kReadVariable = 143,
  kAssignVariable = 144,
};

// Members of the schema's BuiltinOptions union.
enum class OptionsType : uint8_t {
  kNone = 0,
  kConv2d = 1,
  kDepthwiseConv2d = 2,
  kPool2d = 5,
  kSvdf = 6,
  kFullyConnected = 8,
  kSoftmax = 9,
  kConcatenation = 10,
  kAdd = 11,
  kResizeBilinear = 15,
  kSpaceToDepth = 19,
  kMul = 21,
  kGather = 23,
  kReducer = 27,
  kSub = 28,
  kStridedSlice = 32,
  kTransposeConv = 49,
  kPack = 59,
  kUnpack = 64,
  kUnidirectionalSequenceLstm = 71,
  kResizeNearestNeighbor = 74,
  kLeakyRelu = 75,
  kDepthToSpace = 94,
  kBatchMatmul = 101,
  kCallOnce = 103,
  kVarHandle = 111,
};

constexpr int32_t kMaxRank = 5;  // few kernels take more than 4

struct Tensor {
  int32_t dims[kMaxRank] = {1, 1, 1, 1, 1};
  int32_t rank = 0;
  TensorType type = TensorType::kFloat32;
  uint32_t elements = 0;
  uint32_t bytes = 0;
  float scale = 0;         // the first of `scales`; 0 when the tensor is not quantised
  int32_t zero_point = 0;  // the first of `zero_points`
  FbVector scales;
  FbVector zero_points;
  int32_t quantized_dimension = 0;
  uint32_t data_pos = 0;  // of its constant data in the file; 0 when it is computed

  bool constant() const { return data_pos != 0; }
};

struct Operator {
  BuiltinOp code = BuiltinOp::kAdd;
  FbVector inputs;
  FbVector outputs;
  OptionsType options_type = OptionsType::kNone;
  FbTable options;
};

class TfliteModel {
 public:
  TfliteModel(const uint8_t* data, uint32_t size) : buffer_(data, size) {}

  // Checks the file's outer structure. To be called first. Of graphs but the first, the ends are
  // not read.
  Status Open(uint32_t graph = 0);

  uint32_t graph_count() const { return graph_count_; }
  uint32_t input_count() const { return input_count_; }
  uint32_t output_count() const { return output_count_; }
  uint32_t tensor_count() const { return tensors_.count; }
  uint32_t operator_count() const { return operators_.count; }
  // The int8 ends. A float input is taken behind its QUANTIZE, a float output before its
  // DEQUANTIZE, and uint8 ends that are int8 with 128 added, too.
  int32_t input_tensor(uint32_t i = 0) const { return ends_[0][i]; }
  int32_t output_tensor(uint32_t i = 0) const { return ends_[1][i]; }
  bool ends_folded() const { return folded_count_ > 0; }
  // Whether nothing is left of an operator: such an end, or arithmetic on shapes, which are all
  // known. Who needs its values as numbers refuses them, since they are no constants.
  bool Folded(uint32_t index, const Operator& op);
  // Whether it computes on int16 values: its first operand or its first result is one. (Of
  // QUANTIZE int32, too.)
  bool Wide(const Operator& op);

  TensorType TypeOf(int32_t index);

  // Reads and checks one tensor: shape, type, size, the first scale and zero point, constant data.
  // Further scales are checked by who reads them: there may be many, and a tensor is read often.
  Status ReadTensor(int32_t index, Tensor* tensor);
  // The same of a variable, which has no data.
  Status ReadVariable(int32_t index, Tensor* tensor);
  // What was asked for last: where a refusal comes from.
  uint32_t last_tensor() const { return last_tensor_; }
  Status ReadOperator(uint32_t index, Operator* op);

  // Element of a checked vector.
  int32_t Int32At(const FbVector& vector, uint32_t index) {
    return buffer_.Read<int32_t>(vector.pos + 4 * index);
  }
  float FloatAt(const FbVector& vector, uint32_t index) {
    return buffer_.Read<float>(vector.pos + 4 * index);
  }
  // Element of a constant int32 tensor.
  int32_t Int32At(const Tensor& tensor, uint32_t index) { return At<int32_t>(tensor, index); }
  // The same of any type.
  template <typename T>
  T At(const Tensor& tensor, uint32_t index) {
    return buffer_.Read<T>(tensor.data_pos + static_cast<uint32_t>(sizeof(T)) * index);
  }
  const uint8_t* data() const { return buffer_.data(); }
  uint32_t size() const { return buffer_.size(); }
  Status status() const { return buffer_.status(); }

 private:
  static constexpr uint32_t kMaxEnds = 8;  // inputs, and outputs

  FbTable TensorTable(int32_t index);
  Status FoldEnds(const FbVector* ends);
  bool SameNumbers(int32_t outer, int32_t inner);
  Status ReadShape(const FbTable& table, Tensor* tensor);
  Status ReadQuantization(const FbTable& table, Tensor* tensor);
  Status ReadKind(const FbTable& table, Tensor* tensor);
  Status ReadData(const FbTable& table, Tensor* tensor);

  FlatBuffer buffer_;
  FbVector codes_;
  FbVector buffers_;
  FbVector tensors_;
  FbVector operators_;
  uint32_t graph_count_ = 0;
  uint32_t input_count_ = 0;
  uint32_t output_count_ = 0;
  uint32_t folded_count_ = 0;
  uint16_t folded_[2 * kMaxEnds];  // operators at the ends
  int32_t ends_[2][kMaxEnds];
  uint32_t last_tensor_ = 0xFFFF;
};

}  // namespace tinymia
