// What a kernel is: a check-and-prepare function run once by Load, and an eval function run by
// every Invoke. Prepare refuses whatever eval could not do, so eval has no error paths.
// To add an operator: one file with a `Kernel`, one entry in registry.cc.
#pragma once

#include <stdint.h>
#include <string.h>

#include "arena.h"
#include "fixedpoint.h"
#include "status.h"
#include "tflite_model.h"

namespace tinymia {

class Loader;

// QuantizeMultiplier, once in the image.
bool ToFixed(double value, FixedMultiplier* multiplier);

// Where data lies: an offset into the arena, or with the top bit set into the model file. Offsets
// instead of pointers make the arena's layout, hence its size, the same on host and target.
using Ref = uint32_t;
constexpr Ref kInModel = 0x80000000u;
constexpr Ref kNoRef = 0xffffffffu;

// One operator of a loaded model. Up to the end of planning the refs hold tensor indices.
struct Node {
  uint16_t kernel = 0;         // index into the registry
  uint16_t operand_count = 0;  // of a list of further operands, which lies at inputs[1]
  Ref inputs[2] = {kNoRef, kNoRef};
  Ref output = kNoRef;
  Ref scratch = kNoRef;
  Ref params = kNoRef;
};

struct EvalContext {
  const uint8_t* model;
  uint8_t* arena;

  const int8_t* Input(const Node& node, int32_t i) const { return Const<int8_t>(node.inputs[i]); }
  int8_t* Output(const Node& node) const { return Mutable<int8_t>(node.output); }
  // Operand i of a node that has a list of them.
  Ref Operand(const Node& node, uint32_t i) const { return Const<Ref>(node.inputs[1])[i]; }
  template <typename T>
  T* Scratch(const Node& node) const {
    return Mutable<T>(node.scratch);
  }
  template <typename T>
  const T& Params(const Node& node) const {
    return *Const<T>(node.params);
  }
  template <typename T>
  const T* Const(Ref ref) const {
    const uint8_t* at = (ref & kInModel) != 0 ? model + (ref & ~kInModel) : arena + ref;
    return static_cast<const T*>(static_cast<const void*>(at));
  }
  template <typename T>
  T* Mutable(Ref ref) const {
    return static_cast<T*>(static_cast<void*>(arena + ref));
  }
};

class PrepareContext {
 public:
  PrepareContext(Loader* loader, uint32_t index, TfliteModel* model, const Operator* op,
                 TensorType data_type, Arena* arena, const uint8_t* arena_base, Node* node)
      : loader_(loader),
        index_(index),
        model_(model),
        op_(op),
        data_type_(data_type),
        arena_(arena),
        arena_base_(arena_base),
        node_(node) {}

  TfliteModel* model() { return model_; }
  const FbTable& options() const { return op_->options; }
  OptionsType options_type() const { return op_->options_type; }
  uint32_t index() const { return index_; }  // of the operator in the file
  int32_t InputIndex(uint32_t i) { return model_->Int32At(op_->inputs, i); }
  uint32_t input_count() const { return op_->inputs.count; }
  uint32_t output_count() const { return op_->outputs.count; }
  uint32_t outputs_used() const { return outputs_used_; }
  uint32_t scratch_bytes() const { return scratch_bytes_; }

  // To be called by a kernel that takes tensors of rank 5.
  void TakeAnyRank() { most_rank_ = kMaxRank; }

  // Operand i; an optional one that is absent reads as false from HasInput.
  bool HasInput(uint32_t i) {
    return i < op_->inputs.count && model_->Int32At(op_->inputs, i) >= 0;
  }
  Status ReadInput(uint32_t i, Tensor* tensor);
  Status ReadOutput(Tensor* tensor, uint32_t i = 0);
  // As above for data of the kernel's type (int8 or int16) with a positive scale, and made operand
  // `slot` of the node.
  Status UseInput(uint32_t i, uint32_t slot, Tensor* tensor) {
    return UseInputOf(i, slot, data_type_, tensor);
  }
  Status UseOutput(Tensor* tensor) { return UseOutputOf(data_type_, tensor); }
  // For kernels between types.
  Status UseInputOf(uint32_t i, uint32_t slot, TensorType type, Tensor* tensor);
  Status UseOutputOf(TensorType type, Tensor* tensor);
  // For kernels with more operands: the tensors of all inputs or of all outputs are to be listed.
  void ListOperands(uint32_t count) {
    node_->operand_count = static_cast<uint16_t>(count);
    operands_ = Allocate<Ref>(count, &node_->inputs[1]);
  }
  Status ListInput(uint32_t i, Tensor* tensor);
  Status ListOutput(uint32_t i, Tensor* tensor);
  // A variable tensor: what its kernel keeps from one step to the next.
  Status ReadState(uint32_t i, Tensor* tensor);
  // A constant int32 tensor.
  Status ReadInt32(uint32_t i, Tensor* tensor);

  // Memory that lasts as long as the model. Null when the arena is full: the need is still counted,
  // so that it can be told, and preparation goes on.
  template <typename T>
  T* Allocate(uint32_t count, Ref* ref) {
    T* memory = arena_->AllocArray<T>(count);
    *ref = memory == nullptr ? kNoRef : static_cast<Ref>(Bytes(memory) - arena_base_);
    return memory;
  }
  // What was allocated there.
  template <typename T>
  const T* Allocated(Ref ref) const {
    return static_cast<const T*>(static_cast<const void*>(arena_base_ + ref));
  }
  template <typename T>
  void SaveParams(const T& params) {
    T* memory = Allocate<T>(1, &node_->params);
    if (memory != nullptr) *memory = params;
  }
  // Memory that lasts for one eval of this operator.
  void RequestScratch(uint32_t bytes) { scratch_bytes_ = bytes; }

 private:
  static const uint8_t* Bytes(const void* memory) { return static_cast<const uint8_t*>(memory); }

  Status CheckData(const Tensor& tensor, TensorType type) const;
  Status CheckRank(Status status, const Tensor& tensor) const {
    return status == Status::kOk && tensor.rank > most_rank_ ? Status::kModelUnsupportedShape
                                                             : status;
  }

  Loader* loader_;
  uint32_t index_;
  TfliteModel* model_;
  const Operator* op_;
  TensorType data_type_;
  Arena* arena_;
  const uint8_t* arena_base_;
  Node* node_;
  int32_t most_rank_ = 4;
  Ref* operands_ = nullptr;
  uint32_t scratch_bytes_ = 0;
  uint32_t outputs_used_ = 0;
};

// What a kernel computes on. An operator may have one kernel for int8 and one for int16.
enum class Takes : uint8_t { kInt8 = 1, kInt16 = 2, kBoth = 3 };

struct Kernel {
  BuiltinOp code;
  Status (*prepare)(PrepareContext* context);
  // Null when the output is the same bytes as input 0: the planner then shares their memory.
  void (*eval)(const EvalContext& context, const Node& node);
  Takes takes = Takes::kInt8;
};

// Registry.
const Kernel* KernelAt(uint32_t index);
// kNoKernel when the operator is not supported, or not on what it is to take.
constexpr uint32_t kNoKernel = 0xffffffffu;
uint32_t FindKernel(BuiltinOp code, Takes takes);
// Whether such a kernel is there, but not in this image.
bool LeftOut(BuiltinOp code, Takes takes);

// The same bytes under two shapes?
inline bool SameShape(const Tensor& a, const Tensor& b) {
  return a.rank == b.rank && memcmp(a.dims, b.dims, sizeof(a.dims)) == 0;
}

// Do the same bytes mean the same numbers?
inline bool SameScale(const Tensor& a, const Tensor& b) {
  return !(a.scale < b.scale) && !(a.scale > b.scale) && a.zero_point == b.zero_point;
}

}  // namespace tinymia
