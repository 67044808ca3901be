#include "interpreter.h"

#include "loader.h"

namespace tinymia {
namespace {

Interpreter::TensorInfo Describe(const Tensor& tensor) {
  Interpreter::TensorInfo info = {};
  for (int32_t i = 0; i < 4; ++i) info.dims[i] = tensor.dims[i];
  info.rank = tensor.rank;
  info.bytes = static_cast<int32_t>(tensor.bytes);
  info.scale = tensor.scale;
  info.zero_point = tensor.zero_point;
  return info;
}

}  // namespace

Status Interpreter::Load(const uint8_t* data, uint32_t size, Arena* arena) {
  *this = Interpreter();
  LoadedGraph graph;
  const Status status = Loader(data, size, arena).Run(&graph);
  if (status != Status::kOk) return status;
  context_ = {data, graph.arena_base};
  nodes_ = graph.nodes;
  node_count_ = graph.node_count;
  input_ = context_.Mutable<int8_t>(graph.input);
  output_ = context_.Const<int8_t>(graph.output);
  input_info_ = Describe(graph.input_tensor);
  output_info_ = Describe(graph.output_tensor);
  return status;
}

void Interpreter::Invoke() {
  for (uint32_t i = 0; i < node_count_; ++i) {
    KernelAt(nodes_[i].kernel)->eval(context_, nodes_[i]);
  }
}

}  // namespace tinymia
