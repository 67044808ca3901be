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

TINYMIA_AT_LOAD Status Interpreter::Load(const uint8_t* data, uint32_t size, Arena* arena,
                                         bool /*cuts*/) {
  *this = Interpreter();
  LoadedGraph graph;
  Loader loader(data, size, arena);
  const Status status = loader.Run(&graph);
  refusal_ = loader.Explain(status);
  if (status != Status::kOk) return status;
  context_ = {data, graph.arena_base};
  nodes_ = graph.nodes;
  node_count_ = graph.node_count;
  model_size_ = size;
  input_ = context_.Mutable<int8_t>(graph.input);
  output_ = context_.Const<int8_t>(graph.output);
  input_count_ = graph.input_count;
  output_count_ = graph.output_count;
  ends_ = graph.ends;
  odd_end_ = graph.odd_end;
  input_info_ = Describe(graph.input_tensor);
  output_info_ = Describe(graph.output_tensor);
  return status;
}

Interpreter::TensorInfo Interpreter::EndInfo(uint32_t i) const {
  Tensor tensor;
  TfliteModel model(context_.model, model_size_);
  if (i >= input_count_ + output_count_ || model.Open() != Status::kOk) return TensorInfo();
  const bool is_input = i < input_count_;
  model.ReadTensor(is_input ? model.input_tensor(i) : model.output_tensor(i - input_count_),
                   &tensor);
  return Describe(tensor);
}

int8_t* Interpreter::End(uint32_t i) {
  if (i >= input_count_ + output_count_) return nullptr;
  if (ends_ != kNoRef) return context_.Mutable<int8_t>(context_.Const<Ref>(ends_)[i]);
  return i == 0 ? input_ : const_cast<int8_t*>(output_);
}

void Interpreter::Invoke() { RunNodes(node_count_); }

void Interpreter::Run(const Cut& cut) { RunNodes(cut.nodes); }

void Interpreter::RunNodes(uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    KernelAt(nodes_[i].kernel)->eval(context_, nodes_[i]);
  }
}

TINYMIA_AT_LOAD Status Interpreter::FindCut(uint32_t operators, Cut* cut) const {
  if (operators == kAll) {
    *cut = {node_count_, output_, output_info_};
    return Status::kOk;
  }
  *cut = {0, input_, input_info_};
  if (nodes_ == nullptr || operators == 0) return Status::kOk;
  TfliteModel model(context_.model, model_size_);
  Status status = model.Open();
  if (status != Status::kOk) return status;
  if (operators > model.operator_count()) return Status::kModelMalformed;
  // Operators that only give a tensor another shape are no nodes: their data is their input's.
  int32_t sought = -1;
  for (uint32_t i = operators; i-- > 0;) {
    Operator op;
    status = model.ReadOperator(i, &op);
    if (status != Status::kOk) return status;
    const int32_t output = model.Int32At(op.outputs, 0);
    const bool folded = model.Folded(i, op);
    const Takes takes = model.Wide(op) ? Takes::kInt16 : Takes::kInt8;
    const bool is_node = !folded && KernelAt(FindKernel(op.code, takes))->eval != nullptr;
    if (i + 1 == operators) {
      Tensor tensor;
      status = model.ReadTensor(output, &tensor);
      if (status != Status::kOk) return status;
      if (tensor.type != TensorType::kInt8) return Status::kModelUnsupportedType;
      if (tensor.rank > 4) return Status::kModelUnsupportedShape;
      cut->info = Describe(tensor);
      sought = output;
    }
    if (sought == output && is_node) sought = -2 - static_cast<int32_t>(cut->nodes);
    if (sought == output && output != model.input_tensor()) sought = model.Int32At(op.inputs, 0);
    cut->nodes += is_node ? 1 : 0;
  }
  // Counted from the end, the node that computes it; none: the model's input, if no constant.
  if (sought <= -2) {
    const uint32_t from_end = static_cast<uint32_t>(-2 - sought);
    cut->data = context_.Const<int8_t>(nodes_[cut->nodes - 1 - from_end].output);
    return Status::kOk;
  }
  return sought == model.input_tensor() ? Status::kOk : Status::kModelUnsupportedShape;
}

}  // namespace tinymia
