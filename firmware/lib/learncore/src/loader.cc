#include "loader.h"

namespace tinymia {

Slot* Loader::Root(uint32_t tensor) {
  Slot* slot = &slots_[tensor];
  // A slot shares with one that was written before it, so this ends.
  while (slot->state == Slot::kShared) slot = &slots_[slot->source];
  return slot;
}

TINYMIA_AT_LOAD Status Loader::MarkRead(uint32_t tensor, uint32_t index) {
  Slot* slot = &slots_[tensor];
  if (slot->state == Slot::kUnused) {
    Tensor info;
    const Status status = model_.ReadTensor(static_cast<int32_t>(tensor), &info);
    if (status != Status::kOk) return status;
    if (!info.constant()) return Status::kModelMalformed;  // read before it is computed
    slot->state = Slot::kFile;
    slot->offset = info.data_pos;
  }
  slot = Root(tensor);
  slot->last = static_cast<uint16_t>(index);
  return Status::kOk;
}

TINYMIA_AT_LOAD Status Loader::MarkWritten(uint32_t tensor, uint32_t index) {
  Tensor info;
  const Status status = model_.ReadTensor(static_cast<int32_t>(tensor), &info);
  if (status != Status::kOk) return status;
  Slot* slot = &slots_[tensor];
  if (info.constant() || slot->state != Slot::kUnused) return Status::kModelMalformed;
  slot->state = Slot::kPlanned;
  slot->bytes = info.bytes;
  slot->first = static_cast<uint16_t>(index);
  slot->last = static_cast<uint16_t>(index);
  return Status::kOk;
}

TINYMIA_AT_LOAD Status Loader::ReadEnds(LoadedGraph* graph) {
  graph->input_count = model_.input_count();
  graph->output_count = model_.output_count();
  const uint32_t count = graph->input_count + graph->output_count;
  for (uint32_t i = count; i-- > 0;) {  // backwards: the first ones stay
    const bool is_input = i < graph->input_count;
    Tensor* tensor = is_input ? &graph->input_tensor : &graph->output_tensor;
    const int32_t index =
        is_input ? model_.input_tensor(i) : model_.output_tensor(i - graph->input_count);
    const Status status = model_.ReadTensor(index, tensor);
    if (status != Status::kOk) return status;
    const bool known = tensor->type == TensorType::kInt8 || tensor->type == TensorType::kInt16 ||
                       tensor->type == TensorType::kInt32;
    if (!known) return Status::kModelUnsupportedType;
    if (tensor->rank > 4) return Status::kModelUnsupportedShape;
    if (tensor->type != TensorType::kInt8) graph->odd_end = static_cast<uint32_t>(index);
    // (int32 numbers may be a shape.)
    const bool scaled = tensor->scale > 0 || tensor->type == TensorType::kInt32;
    if (tensor->constant() || !scaled) {
      const bool int8 = tensor->type == TensorType::kInt8;
      return int8 ? Status::kModelMalformed : Status::kModelUnsupportedType;
    }
  }
  return Status::kOk;
}

TINYMIA_AT_LOAD void Loader::ListEnds(Arena* persistent, LoadedGraph* graph) {
  const uint32_t count = graph->input_count + graph->output_count;
  if (count == 2) return;
  ends_ = persistent->AllocArray<Ref>(count);
  if (ends_ == nullptr) return;
  graph->ends = static_cast<Ref>(static_cast<uint8_t*>(static_cast<void*>(ends_)) - base_);
  for (uint32_t i = 0; i < count; ++i) {
    ends_[i] =
        static_cast<Ref>(i < graph->input_count ? model_.input_tensor(i)
                                                : model_.output_tensor(i - graph->input_count));
  }
}

TINYMIA_AT_LOAD Status Loader::PrepareOperator(uint32_t index, const Kernel& kernel,
                                               const Operator& op, bool wide, Arena* persistent,
                                               Node* node) {
  const TensorType type = wide ? TensorType::kInt16 : TensorType::kInt8;
  PrepareContext context(this, index, &model_, &op, type, persistent, base_, node);
  Status status = kernel.prepare(&context);
  if (status != Status::kOk) return status;
  if (model_.status() != Status::kOk) return model_.status();
  if (op.outputs.count != context.outputs_used()) return Status::kModelUnsupportedShape;
  for (uint32_t i = 0; i < op.outputs.count; ++i) {
    status = MarkWritten(static_cast<uint32_t>(model_.Int32At(op.outputs, i)), index);
    if (status != Status::kOk) return status;
  }
  if (kernel.eval == nullptr) {
    slots_[node->output].state = Slot::kShared;
    slots_[node->output].source = static_cast<uint16_t>(node->inputs[0]);
  }
  Slot* scratch = &slots_[tensor_count_ + index];
  if (context.scratch_bytes() > 0) {
    scratch->state = Slot::kPlanned;
    scratch->bytes = context.scratch_bytes();
    scratch->first = scratch->last = static_cast<uint16_t>(index);
    node->scratch = tensor_count_ + index;
  }
  return Status::kOk;
}

TINYMIA_AT_LOAD Status Loader::PrepareOperators(Arena* persistent, Node* nodes,
                                                LoadedGraph* graph) {
  Status status = Status::kOk;
  for (uint32_t i = 0; status == Status::kOk && i < graph->input_count; ++i) {
    status = MarkWritten(static_cast<uint32_t>(model_.input_tensor(i)), 0);
  }
  for (uint32_t i = 0; status == Status::kOk && i < model_.operator_count(); ++i) {
    Operator op;
    status = model_.ReadOperator(i, &op);
    if (status != Status::kOk) break;
    at_ = i;
    code_ = op.code;
    if (model_.Folded(i, op)) continue;
    const bool wide = model_.Wide(op);
    const Takes takes = wide ? Takes::kInt16 : Takes::kInt8;
    const uint32_t found = FindKernel(op.code, takes);
    if (found == kNoKernel) {
      if (LeftOut(op.code, takes)) return Status::kModelOpLeftOut;
      return FindKernel(op.code, Takes::kBoth) == kNoKernel ? Status::kModelUnsupportedOp
                                                            : Status::kModelUnsupportedType;
    }
    Node node;
    node.kernel = static_cast<uint16_t>(found);
    const Kernel& kernel = *KernelAt(found);
    status = PrepareOperator(i, kernel, op, wide, persistent, &node);
    if (kernel.eval == nullptr) continue;
    if (nodes != nullptr) nodes[graph->node_count] = node;
    ++graph->node_count;
  }
  if (status != Status::kOk) return status;
  at_ = kNowhere;
  for (uint32_t i = 0; i < graph->output_count; ++i) {
    const uint32_t output = static_cast<uint32_t>(model_.output_tensor(i));
    // Nothing computes it, or it is a constant in another shape: no answer to a window. Or whole
    // numbers, which are folded where they are a shape's.
    if (Root(output)->state != Slot::kPlanned) {
      const bool int8 = model_.TypeOf(model_.output_tensor(i)) == TensorType::kInt8;
      return int8 ? Status::kModelMalformed : Status::kModelUnsupportedType;
    }
    status = MarkRead(output, model_.operator_count());
    if (status != Status::kOk) return status;
  }
  return Status::kOk;
}

Ref Loader::Resolve(uint32_t tensor, uint32_t block) {
  if (tensor == kNoRef) return kNoRef;
  const Slot* slot = Root(tensor);
  return slot->state == Slot::kFile ? slot->offset | kInModel : slot->offset + block;
}

TINYMIA_AT_LOAD Refusal Loader::Explain(Status status) const {
  switch (status) {
    case Status::kOk:
    case Status::kArenaTooSmall:
      return {status, 0, 0};
    case Status::kModelEnds:
      return {status, model_.input_count(), model_.output_count()};
    case Status::kModelUnsupportedOp:
    case Status::kModelOpLeftOut:
      return {status, at_, static_cast<uint32_t>(code_)};
    default:
      return {status, at_, model_.last_tensor()};
  }
}

TINYMIA_AT_LOAD Status Loader::Run(LoadedGraph* graph) {
  Status status = model_.Open();
  if (status == Status::kOk) status = ReadEnds(graph);
  if (status != Status::kOk) return status;
  tensor_count_ = model_.tensor_count();

  // The planner's table is needed only now: it lies at the end of the arena, where the tensors may
  // be later.
  const uint32_t slot_count = tensor_count_ + model_.operator_count();
  const uint32_t table_bytes = slot_count * static_cast<uint32_t>(sizeof(Slot));
  base_ = static_cast<uint8_t*>(arena_->Alloc(0, 8));
  const uint32_t room = base_ == nullptr ? 0 : (arena_->size() - arena_->used()) / 8 * 8;
  if (base_ == nullptr || table_bytes > room) {
    arena_->Alloc(table_bytes, 8);
    return Status::kArenaTooSmall;
  }
  const uint32_t table_offset = (room - table_bytes) / 8 * 8;
  slots_ = static_cast<Slot*>(static_cast<void*>(base_ + table_offset));
  memset(slots_, 0, table_bytes);

  Arena persistent(base_, table_offset);
  Node* nodes = persistent.AllocArray<Node>(model_.operator_count());
  ListEnds(&persistent, graph);
  status = PrepareOperators(&persistent, nodes, graph);
  if (status != Status::kOk) return status;
  const uint32_t planned = PlanSlots(slots_, slot_count);
  persistent.Alloc(0, 8);
  const uint32_t block = persistent.used();
  // The table itself has to fit, too, next to what lasts.
  const uint64_t need = static_cast<uint64_t>(block) + Max(planned, (table_bytes + 7) / 8 * 8);
  if (arena_->Alloc(need > UINT32_MAX ? UINT32_MAX : static_cast<uint32_t>(need), 8) == nullptr ||
      nodes == nullptr || block > table_offset) {
    return Status::kArenaTooSmall;
  }
  for (uint32_t i = 0; i < graph->node_count; ++i) {
    nodes[i].inputs[0] = Resolve(nodes[i].inputs[0], block);
    if (nodes[i].operand_count == 0) {
      nodes[i].inputs[1] = Resolve(nodes[i].inputs[1], block);
    } else {
      Ref* operands = static_cast<Ref*>(static_cast<void*>(base_ + nodes[i].inputs[1]));
      for (uint32_t k = 0; k < nodes[i].operand_count; ++k) {
        operands[k] = Resolve(operands[k], block);
      }
    }
    nodes[i].output = Resolve(nodes[i].output, block);
    nodes[i].scratch = Resolve(nodes[i].scratch, block);
  }
  for (uint32_t i = 0; ends_ != nullptr && i < graph->input_count + graph->output_count; ++i) {
    ends_[i] = Resolve(ends_[i], block);
  }
  graph->nodes = nodes;
  graph->arena_base = base_;
  graph->input = Resolve(static_cast<uint32_t>(model_.input_tensor()), block);
  graph->output = Resolve(static_cast<uint32_t>(model_.output_tensor()), block);
  return Status::kOk;
}

}  // namespace tinymia
