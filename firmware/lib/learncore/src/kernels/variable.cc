// READ_VARIABLE of streaming models. Variables start anew with every window, as after the
// reference's reset, so that an answer depends on nothing that was asked before. Then what is read
// is known when the model is loaded: what CALL_ONCE's graph assigns, else zero. VAR_HANDLE,
// ASSIGN_VARIABLE and CALL_ONCE are folded.
#include "kernels/kernel.h"

namespace tinymia {
namespace {

// Of variables that are read, assignments before that, and operators of the first graph: so that
// looking all of them up stays quick.
constexpr uint32_t kMost = 64;

struct VariableParams {
  Ref value = kNoRef;  // none: `fill`
  int32_t fill = 0;
  uint32_t bytes = 0;
};

// The name of the variable that a handle stands for.
TINYMIA_AT_LOAD bool NameOf(TfliteModel* model, int32_t handle, FbVector* name) {
  for (uint32_t i = 0; i < model->operator_count(); ++i) {
    Operator op;
    if (model->ReadOperator(i, &op) != Status::kOk) return false;
    if (op.code != BuiltinOp::kVarHandle || op.outputs.count != 1) continue;
    if (model->Int32At(op.outputs, 0) != handle) continue;
    *name = op.options.Vector(1, 1);
    return op.options_type == OptionsType::kVarHandle && model->status() == Status::kOk;
  }
  return false;
}

struct Assignment {
  FbVector name;
  int32_t value;
};

TINYMIA_AT_LOAD bool ReadAssignment(TfliteModel* model, const Operator& op, Assignment* result) {
  if (op.inputs.count != 2) return false;
  result->value = model->Int32At(op.inputs, 1);
  return NameOf(model, model->Int32At(op.inputs, 0), &result->name);
}

TINYMIA_AT_LOAD bool Same(const TfliteModel& model, const FbVector& a, const FbVector& b) {
  return a.count == b.count && memcmp(model.data() + a.pos, model.data() + b.pos, a.count) == 0;
}

// What a graph that is called once gives the variable.
TINYMIA_AT_LOAD Status ReadFirst(const TfliteModel& model, uint32_t graph, const FbVector& name,
                                 const Tensor& output, VariableParams* p) {
  TfliteModel first(model.data(), model.size());
  Status status = first.Open(graph);
  if (status == Status::kOk && first.operator_count() > kMost)
    status = Status::kModelUnsupportedShape;
  for (uint32_t i = 0; status == Status::kOk && i < first.operator_count(); ++i) {
    Operator op;
    status = first.ReadOperator(i, &op);
    if (status != Status::kOk) break;
    if (op.code == BuiltinOp::kVarHandle) continue;
    Assignment assignment;
    if (op.code != BuiltinOp::kAssignVariable) return Status::kModelUnsupportedOp;
    if (!ReadAssignment(&first, op, &assignment)) return Status::kModelMalformed;
    if (!Same(model, assignment.name, name)) continue;
    Tensor value;
    status = first.ReadTensor(assignment.value, &value);
    if (status != Status::kOk) break;
    if (!value.constant() || value.type != output.type || value.bytes != output.bytes) {
      return Status::kModelUnsupportedShape;
    }
    p->value = kInModel | value.data_pos;
  }
  return status;
}

TINYMIA_AT_LOAD Status Prepare(PrepareContext* context) {
  TfliteModel* model = context->model();
  Tensor output;
  Status status = context->UseOutput(&output);
  if (status != Status::kOk) return status;
  FbVector name;
  if (context->input_count() != 1 || !NameOf(model, context->InputIndex(0), &name)) {
    return Status::kModelMalformed;
  }
  VariableParams p;
  p.fill = output.zero_point;
  p.bytes = output.bytes;
  uint32_t seen = 0;
  for (uint32_t i = 0; i < context->index(); ++i) {
    Operator op;
    status = model->ReadOperator(i, &op);
    if (status != Status::kOk) return status;
    if (op.code == BuiltinOp::kCallOnce) {
      if (op.options_type != OptionsType::kCallOnce) return Status::kModelMalformed;
      const uint32_t graph = op.options.Scalar<uint32_t>(0, 0);
      if (graph == 0 || ++seen > kMost) return Status::kModelMalformed;
      status = ReadFirst(*model, graph, name, output, &p);
      if (status != Status::kOk) return status;
    }
    if (op.code != BuiltinOp::kAssignVariable && op.code != BuiltinOp::kReadVariable) continue;
    if (++seen > kMost) return Status::kModelUnsupportedShape;
    Assignment before;
    if (op.code == BuiltinOp::kReadVariable) continue;
    if (!ReadAssignment(model, op, &before)) return Status::kModelMalformed;
    if (Same(*model, before.name, name)) return Status::kModelUnsupportedOp;  // not the first value
  }
  context->SaveParams(p);
  return Status::kOk;
}

void Eval(const EvalContext& context, const Node& node) {
  const VariableParams& p = context.Params<VariableParams>(node);
  if (p.value == kNoRef) {
    memset(context.Output(node), p.fill, p.bytes);
  } else {
    memcpy(context.Output(node), context.Const<int8_t>(p.value), p.bytes);
  }
}

}  // namespace

extern const Kernel kReadVariableKernel;
const Kernel kReadVariableKernel = {BuiltinOp::kReadVariable, Prepare, Eval};

}  // namespace tinymia
