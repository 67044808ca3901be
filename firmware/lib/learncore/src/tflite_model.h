// What the interpreter needs of a .tflite file (schema version 3), read on demand and checked.
#pragma once

#include <stdint.h>

#include "flatbuffer.h"
#include "status.h"

namespace tinymia {

enum class TensorType : int8_t { kFloat32 = 0, kInt32 = 2, kInt8 = 9 };

enum class BuiltinOp : int32_t {
  kAdd = 0,
  kAveragePool2d = 1,
  kConv2d = 3,
  kDepthwiseConv2d = 4,
  kFullyConnected = 9,
  kMaxPool2d = 17,
  kRelu = 19,
  kRelu6 = 21,
  kReshape = 22,
  kSoftmax = 25,
  kPad = 34,
  kMean = 40,
  kSqueeze = 43,
  kPadV2 = 60,
  kExpandDims = 70,
};

// Members of the schema's BuiltinOptions union.
enum class OptionsType : uint8_t {
  kNone = 0,
  kConv2d = 1,
  kDepthwiseConv2d = 2,
  kPool2d = 5,
  kFullyConnected = 8,
  kSoftmax = 9,
  kAdd = 11,
};

struct Tensor {
  int32_t dims[4] = {1, 1, 1, 1};
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

  // Checks the file's outer structure. To be called first.
  Status Open();

  uint32_t graph_count() const { return graph_count_; }  // only the first one is read
  uint32_t tensor_count() const { return tensors_.count; }
  uint32_t operator_count() const { return operators_.count; }
  int32_t input_tensor() const { return input_; }
  int32_t output_tensor() const { return output_; }

  // Reads and checks one tensor: shape, type, size, quantisation, constant data.
  Status ReadTensor(int32_t index, Tensor* tensor);
  Status ReadOperator(uint32_t index, Operator* op);

  // Element of a checked vector.
  int32_t Int32At(const FbVector& vector, uint32_t index) {
    return buffer_.Read<int32_t>(vector.pos + 4 * index);
  }
  float FloatAt(const FbVector& vector, uint32_t index) {
    return buffer_.Read<float>(vector.pos + 4 * index);
  }
  // Element of a constant int32 tensor.
  int32_t Int32At(const Tensor& tensor, uint32_t index) {
    return buffer_.Read<int32_t>(tensor.data_pos + 4 * index);
  }
  const uint8_t* data() const { return buffer_.data(); }
  uint32_t size() const { return buffer_.size(); }
  Status status() const { return buffer_.status(); }

 private:
  Status ReadShape(const FbTable& table, Tensor* tensor);
  Status ReadQuantization(const FbTable& table, Tensor* tensor);
  Status ReadData(const FbTable& table, Tensor* tensor);

  FlatBuffer buffer_;
  FbVector codes_;
  FbVector buffers_;
  FbVector tensors_;
  FbVector operators_;
  uint32_t graph_count_ = 0;
  int32_t input_ = -1;
  int32_t output_ = -1;
};

}  // namespace tinymia
