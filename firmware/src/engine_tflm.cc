#ifdef TINYMIA_ENGINE_TFLM

#include "engine_tflm.h"

#include <string.h>

#include <new>

#include "kernels/kernel.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tflite_model.h"

namespace tinymia {
namespace {

// The operators of kernels/registry.cc.
using Resolver = tflite::MicroMutableOpResolver<15>;

// Where a kernel comes for 8 bits alone it is that: the others would only take flash.
bool AddOperators(Resolver* resolver) {
  const TfLiteStatus added[] = {
      resolver->AddAdd(tflite::Register_ADD_INT8()),
      resolver->AddAveragePool2D(tflite::Register_AVERAGE_POOL_2D_INT8()),
      resolver->AddConv2D(tflite::Register_CONV_2D_INT8()),
      resolver->AddExpandDims(),
      resolver->AddDepthwiseConv2D(tflite::Register_DEPTHWISE_CONV_2D_INT8()),
      resolver->AddMaxPool2D(tflite::Register_MAX_POOL_2D_INT8()),
      resolver->AddMean(),
      resolver->AddFullyConnected(tflite::Register_FULLY_CONNECTED_INT8()),
      resolver->AddPad(),
      resolver->AddPadV2(),
      resolver->AddRelu(),
      resolver->AddRelu6(),
      resolver->AddReshape(),
      resolver->AddSoftmax(tflite::Register_SOFTMAX_INT8()),
      resolver->AddSqueeze(),
  };
  for (const TfLiteStatus status : added) {
    if (status != kTfLiteOk) return false;
  }
  return true;
}

// What TFLM needs beside its own arena. Nothing is ever destroyed: none of it owns anything.
struct Objects {
  Resolver resolver;
  alignas(tflite::MicroInterpreter) uint8_t interpreter[sizeof(tflite::MicroInterpreter)];
};
static_assert(alignof(Objects) <= 8, "what an arena is aligned to");

constexpr uint32_t kAlignment = 16;
constexpr uint32_t kStep = 256;

// Where its memory ends TFLM follows null pointers and writes elsewhere, except when it places the
// tensors. So it is started only where all else is sure to fit. Bounds from above, of TFLM with
// its reference kernels on a machine of 64 bits; a board needs less.
constexpr uint32_t kLasting = 1024;
constexpr uint32_t kLastingOfTensor = 64;
constexpr uint32_t kLastingOfOperator = 512;
constexpr uint32_t kLastingOfChannel = 16;
constexpr uint32_t kTemporary = 1024;  // while an operator is prepared
constexpr uint32_t kTemporaryOfChannel = 16;

// What TFLM would follow beside the graph: a plan of its memory, a table of compressed tensors.
constexpr const char* kFollowed[] = {"OfflineMemoryAllocation", "COMPRESSION_METADATA"};

Status CheckMetadata(const uint8_t* data, uint32_t size) {
  FlatBuffer buffer(data, size);
  const FbTable root(&buffer, buffer.Follow(0));
  const FbVector entries = root.Vector(6, 4);
  for (uint32_t i = 0; buffer.ok() && i < entries.count; ++i) {
    const FbVector name = TableAt(&buffer, entries, i).Vector(0, 1);
    if (!buffer.Check(name.pos, static_cast<uint64_t>(name.count) + 1)) break;
    for (const char* followed : kFollowed) {
      if (name.count == strlen(followed) && memcmp(data + name.pos, followed, name.count) == 0) {
        return Status::kModelUnsupportedOp;
      }
    }
  }
  return buffer.status();
}

struct Needs {
  uint64_t lasting = 0;
  uint64_t temporary = 0;
  uint64_t tensors = 0;  // of all operators together
};

Status CountNeeds(TfliteModel* model, Needs* needs) {
  Status status = model->Open();
  if (status != Status::kOk) return status;
  // TFLM reads all of a file, the loader what it needs.
  if (model->graph_count() != 1) return Status::kModelUnsupportedShape;
  if (model->ends_folded()) return Status::kModelUnsupportedType;  // its ends would be floats
  Tensor tensor;
  uint32_t most_channels = 0;
  for (uint32_t i = 0; i < model->tensor_count(); ++i) {
    status = model->ReadTensor(static_cast<int32_t>(i), &tensor);
    if (status != Status::kOk) return status;
    // It ends the program when these are missing, where the interpreter takes 0.
    if (tensor.type == TensorType::kInt8 && tensor.scales.count > 0 &&
        tensor.zero_points.count == 0) {
      return Status::kModelUnsupportedType;
    }
    if (tensor.scales.count > most_channels) most_channels = tensor.scales.count;
  }
  needs->lasting = kLasting + static_cast<uint64_t>(kLastingOfTensor) * model->tensor_count();
  needs->temporary = kTemporary + static_cast<uint64_t>(kTemporaryOfChannel) * most_channels;
  for (uint32_t i = 0; i < model->operator_count(); ++i) {
    Operator op;
    status = model->ReadOperator(i, &op);
    if (status == Status::kOk) status = model->ReadTensor(model->Int32At(op.outputs, 0), &tensor);
    if (status != Status::kOk) return status;
    for (uint32_t j = 0; j < op.inputs.count; ++j) {
      const int32_t input = model->Int32At(op.inputs, j);
      if (input < -1 || input >= static_cast<int32_t>(model->tensor_count())) {
        return Status::kModelMalformed;
      }
    }
    // What the kernels here do not read are fields of one byte and the shape of these two.
    for (uint32_t field = 0; field < 8; ++field) op.options.Field(field, 1);
    if (op.code == BuiltinOp::kReshape || op.code == BuiltinOp::kSqueeze) op.options.Vector(0, 4);
    if (model->status() != Status::kOk) return model->status();
    const auto channels = static_cast<uint64_t>(tensor.dims[tensor.rank > 0 ? tensor.rank - 1 : 0]);
    needs->lasting += kLastingOfOperator + kLastingOfChannel * channels;
    needs->tensors += tensor.bytes;
  }
  return Status::kOk;
}

}  // namespace

bool TflmEngine::Start(uint8_t* memory, uint32_t size) {
  auto* objects = static_cast<Objects*>(objects_);
  interpreter_ = new (objects->interpreter)
      tflite::MicroInterpreter(tflite::GetModel(model_), objects->resolver, memory, size);
  return interpreter_->AllocateTensors() == kTfLiteOk;
}

// Returns the bytes that TFLM was started with, 0 if `room` does not do for the tensors. What is
// temporary lies where the tensors will be.
uint32_t TflmEngine::StartSmallest(uint8_t* memory, uint32_t room, uint64_t temporary) {
  if (!Start(memory, room)) return 0;
  // It works from both ends of its memory, so the rest becomes free only when it starts again.
  uint64_t size = interpreter_->arena_used_bytes() + kAlignment + temporary;
  for (size = (size + kAlignment - 1) / kAlignment * kAlignment; size < room; size += kStep) {
    if (Start(memory, static_cast<uint32_t>(size))) return static_cast<uint32_t>(size);
  }
  return Start(memory, room) ? room : 0;
}

Status TflmEngine::Load(const uint8_t* data, uint32_t size, Arena* arena, bool cuts) {
  *this = TflmEngine();
  TflmEngine loaded;
  const Status status = loaded.Begin(data, size, arena, cuts);
  if (status == Status::kOk) *this = loaded;
  refusal_ = loaded.parts_.refusal();
  if (refusal_.status != status) refusal_ = {status, kNowhere, kNowhere};  // TFLM's own
  return status;
}

Status TflmEngine::Begin(const uint8_t* data, uint32_t size, Arena* arena, bool cuts) {
  Arena with_parts = *arena;
  Status status = parts_.Load(data, size, &with_parts);
  if (status != Status::kOk || cuts) *arena = with_parts;
  if (status != Status::kOk) return status;
  cuts_ = cuts;
  Cut whole;
  parts_.FindCut(kAll, &whole);
  nodes_ = whole.nodes;
  TfliteModel model(data, size);
  Needs needs;
  status = CheckMetadata(data, size);
  if (status == Status::kOk) status = CountNeeds(&model, &needs);
  if (status != Status::kOk) return status;
  model_ = data;

  void* const place = arena->Alloc(sizeof(Objects), alignof(Objects));
  arena->Alloc(0, kAlignment);
  const uint32_t used = arena->used();
  const uint32_t room = used < arena->size() ? (arena->size() - used) / kAlignment * kAlignment : 0;
  const uint64_t least = needs.lasting + needs.temporary;
  if (place == nullptr || least > room) {
    arena->Alloc(least > UINT32_MAX ? UINT32_MAX : static_cast<uint32_t>(least), kAlignment);
    return Status::kArenaTooSmall;
  }
  auto* objects = new (place) Objects;
  objects_ = objects;
  if (!AddOperators(&objects->resolver)) return Status::kModelUnsupportedOp;
  const uint32_t taken = StartSmallest(arena->base() + used, room, needs.temporary);
  if (taken == 0) {
    // TFLM does not say why. Where there is plenty of room it is not that.
    const uint64_t all = least + needs.tensors + static_cast<uint32_t>(input_info().bytes);
    if (room / 2 >= all) return Status::kModelUnsupportedOp;
    arena->Alloc(room + kAlignment, kAlignment);
    return Status::kArenaTooSmall;
  }
  arena->Alloc(taken, kAlignment);

  input_ = interpreter_->input(0)->data.int8;
  output_ = nodes_ != 0 ? interpreter_->output(0)->data.int8 : input_;
  // A kernel may refuse only when it runs: better now than in an answer.
  memset(input_, 0, static_cast<uint32_t>(input_info().bytes));
  return interpreter_->Invoke() == kTfLiteOk ? Status::kOk : Status::kModelUnsupportedOp;
}

void TflmEngine::Invoke() {
  if (interpreter_ != nullptr) interpreter_->Invoke();
}

void TflmEngine::Run(const Cut& cut) {
  if (cut.nodes == 0) return;
  if (cut.data == output_) {
    Invoke();
  } else {
    memcpy(parts_.input(), input_, static_cast<uint32_t>(input_info().bytes));
    parts_.Run(cut);
  }
}

Status TflmEngine::FindCut(uint32_t operators, Cut* cut) const {
  *cut = {0, input_, input_info()};
  if (interpreter_ == nullptr || operators == 0) return Status::kOk;
  if (operators == kAll) {
    *cut = {nodes_, output_, output_info()};
    return Status::kOk;
  }
  if (!cuts_) return Status::kModelUnsupportedShape;
  const Status status = parts_.FindCut(operators, cut);
  // Where no part is needed it is the whole model's.
  if (cut->data == parts_.output()) cut->data = output_;
  if (cut->nodes == 0) cut->data = input_;
  return status;
}

}  // namespace tinymia

#endif  // TINYMIA_ENGINE_TFLM
