// The work of Interpreter::Load: reads the graph, prepares its kernels, plans its memory.
#pragma once

#include <stdint.h>

#include "arena.h"
#include "kernels/kernel.h"
#include "planner.h"
#include "refusal.h"
#include "status.h"
#include "tflite_model.h"

namespace tinymia {

struct LoadedGraph {
  const Node* nodes = nullptr;
  uint32_t node_count = 0;
  uint8_t* arena_base = nullptr;
  Ref input = kNoRef;
  Ref output = kNoRef;
  uint32_t input_count = 1;
  uint32_t output_count = 1;
  Ref ends = kNoRef;  // of all inputs and then outputs, if there is more than one of each
  Tensor input_tensor;
  Tensor output_tensor;
  uint32_t odd_end = kNowhere;  // tensor of the first end that is not int8
};

class Loader {
 public:
  Loader(const uint8_t* data, uint32_t size, Arena* arena) : model_(data, size), arena_(arena) {}

  Status Run(LoadedGraph* graph);
  // What Run refused: for an unknown operator its index and number in the schema, for an arena
  // nothing, for ends how many inputs and outputs there are, else operator and tensor.
  Refusal Explain(Status status) const;

  // Notes that operator `index` reads a tensor; fails when nothing has computed it.
  Status MarkRead(uint32_t tensor, uint32_t index);

 private:
  Status ReadEnds(LoadedGraph* graph);
  Status PrepareOperators(Arena* persistent, Node* nodes, LoadedGraph* graph);
  Status PrepareOperator(uint32_t index, const Kernel& kernel, const Operator& op, bool wide,
                         Arena* persistent, Node* node);
  Status MarkWritten(uint32_t tensor, uint32_t index);
  void ListEnds(Arena* persistent, LoadedGraph* graph);
  Slot* Root(uint32_t tensor);
  Ref Resolve(uint32_t tensor, uint32_t block);

  TfliteModel model_;
  Arena* arena_;
  uint8_t* base_ = nullptr;
  Ref* ends_ = nullptr;
  Slot* slots_ = nullptr;  // one for every tensor, then one for every operator's scratch
  uint32_t tensor_count_ = 0;
  uint32_t at_ = kNowhere;  // the operator that is read
  BuiltinOp code_ = BuiltinOp::kAdd;
};

}  // namespace tinymia
