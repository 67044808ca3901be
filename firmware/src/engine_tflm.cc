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

bool AddOperators(Resolver* resolver) {
  const TfLiteStatus added[] = {
      resolver->AddAdd(),
      resolver->AddAveragePool2D(),
      resolver->AddConv2D(),
      resolver->AddExpandDims(),
      resolver->AddDepthwiseConv2D(),
      resolver->AddMaxPool2D(),
      resolver->AddMean(),
      resolver->AddFullyConnected(),
      resolver->AddPad(),
      resolver->AddPadV2(),
      resolver->AddRelu(),
      resolver->AddRelu6(),
      resolver->AddReshape(),
      resolver->AddSoftmax(),
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
constexpr uint32_t kLastingForCuts = 1024 * sizeof(size_t) + 128;  // of the planner that keeps all
constexpr uint32_t kTemporary = 1024;                              // while an operator is prepared
constexpr uint32_t kTemporaryOfChannel = 16;

struct Needs {
  uint64_t lasting = 0;
  uint64_t temporary = 0;
  uint64_t tensors = 0;  // a bound from below
};

Status CountNeeds(TfliteModel* model, Needs* needs) {
  Status status = model->Open();
  if (status != Status::kOk) return status;
  // TFLM reads all of a file, the loader what it needs.
  if (model->graph_count() != 1) return Status::kModelUnsupportedShape;
  Tensor tensor;
  uint32_t most_channels = 0;
  for (uint32_t i = 0; i < model->tensor_count(); ++i) {
    status = model->ReadTensor(static_cast<int32_t>(i), &tensor);
    if (status != Status::kOk) return status;
    if (tensor.scales.count > most_channels) most_channels = tensor.scales.count;
  }
  needs->lasting = kLasting + static_cast<uint64_t>(kLastingOfTensor) * model->tensor_count();
  needs->temporary = kTemporary + static_cast<uint64_t>(kTemporaryOfChannel) * most_channels;
  for (uint32_t i = 0; i < model->operator_count(); ++i) {
    Operator op;
    status = model->ReadOperator(i, &op);
    if (status == Status::kOk) status = model->ReadTensor(model->Int32At(op.outputs, 0), &tensor);
    if (status != Status::kOk) return status;
    const auto channels = static_cast<uint64_t>(tensor.dims[tensor.rank > 0 ? tensor.rank - 1 : 0]);
    needs->lasting += kLastingOfOperator + kLastingOfChannel * channels;
    needs->tensors += tensor.bytes;
  }
  return Status::kOk;
}

}  // namespace

bool TflmEngine::Start(uint8_t* memory, uint32_t size, bool cuts) {
  auto* objects = static_cast<Objects*>(objects_);
  interpreter_ = new (objects->interpreter) tflite::MicroInterpreter(
      tflite::GetModel(model_), objects->resolver, memory, size, nullptr, nullptr, cuts);
  return interpreter_->AllocateTensors() == kTfLiteOk;
}

// Returns the bytes that TFLM was started with, 0 if `room` does not do for the tensors. What is
// temporary lies where the tensors will be, of which there are at least `tensors` bytes.
uint32_t TflmEngine::StartSmallest(uint8_t* memory, uint32_t room, bool cuts, uint64_t temporary,
                                   uint64_t tensors) {
  if (!Start(memory, room, cuts)) return 0;
  // It works from both ends of its memory, so the rest becomes free only when it starts again.
  uint64_t size = interpreter_->arena_used_bytes() + kAlignment;
  if (temporary > tensors) size += temporary - tensors;
  for (size = (size + kAlignment - 1) / kAlignment * kAlignment; size < room; size += kStep) {
    if (Start(memory, static_cast<uint32_t>(size), cuts)) return static_cast<uint32_t>(size);
  }
  return Start(memory, room, cuts) ? room : 0;
}

Status TflmEngine::Load(const uint8_t* data, uint32_t size, Arena* arena, bool cuts) {
  *this = TflmEngine();
  TflmEngine loaded;
  const Status status = loaded.Begin(data, size, arena, cuts);
  if (status == Status::kOk) *this = loaded;
  return status;
}

Status TflmEngine::Begin(const uint8_t* data, uint32_t size, Arena* arena, bool cuts) {
  Interpreter checked;
  Arena trial = *arena;
  Status status = checked.Load(data, size, &trial);
  if (status != Status::kOk) {
    *arena = trial;
    return status;
  }
  TfliteModel model(data, size);
  Needs needs;
  status = CountNeeds(&model, &needs);
  if (status != Status::kOk) return status;
  model_ = data;
  model_size_ = size;
  input_info_ = checked.input_info();
  output_info_ = checked.output_info();
  Cut whole;
  checked.FindCut(kAll, &whole);
  nodes_ = whole.nodes;

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
  uint8_t* const memory = arena->base() + used;
  uint32_t taken = 0;
  if (cuts && least + kLastingForCuts <= room) {
    taken = StartSmallest(memory, room, true, needs.temporary, needs.tensors);
  }
  cuts_ = taken != 0;
  if (taken == 0) taken = StartSmallest(memory, room, false, needs.temporary, 0);
  arena->Alloc(taken != 0 ? taken : room + kAlignment, kAlignment);
  if (taken == 0) return Status::kArenaTooSmall;

  input_ = interpreter_->input(0)->data.int8;
  output_ = nodes_ != 0 ? interpreter_->output(0)->data.int8 : input_;
  // A kernel may refuse only when it runs: better now than in an answer.
  memset(input_, 0, static_cast<uint32_t>(input_info_.bytes));
  return interpreter_->Invoke() == kTfLiteOk ? Status::kOk : Status::kModelUnsupportedOp;
}

void TflmEngine::Invoke() {
  if (interpreter_ != nullptr) interpreter_->Invoke();
}

void TflmEngine::Run(const Cut& cut) {
  if (cut.nodes != 0) Invoke();
}

Status TflmEngine::FindCut(uint32_t operators, Cut* cut) const {
  *cut = {0, input_, input_info_};
  if (interpreter_ == nullptr || operators == 0) return Status::kOk;
  if (operators == kAll) {
    *cut = {nodes_, output_, output_info_};
    return Status::kOk;
  }
  TfliteModel model(model_, model_size_);
  CutTensor found;
  const Status status = FindCutTensor(&model, operators, &found);
  if (status != Status::kOk) return status;
  if (!cuts_) return Status::kArenaTooSmall;
  cut->nodes = found.nodes;
  cut->info = found.info;
  if (found.node >= 0) cut->data = interpreter_->GetTensor(found.tensor)->data.int8;
  return Status::kOk;
}

}  // namespace tinymia

#endif  // TINYMIA_ENGINE_TFLM
