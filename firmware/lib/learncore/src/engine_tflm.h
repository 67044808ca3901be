// TensorFlow Lite Micro behind the interface of Interpreter, for builds with
// -DTINYMIA_ENGINE_TFLM and a library that has it. Its code: firmware/src/engine_tflm.cc.
#pragma once

#include <stdint.h>

#include "arena.h"
#include "interpreter.h"
#include "status.h"

namespace tflite {
class MicroInterpreter;
}

namespace tinymia {

// TFLM runs a model as a whole. For what is computed up to a place between two operators there is
// the Interpreter, whose bytes are the same; it checks every file as well, because TFLM trusts it.
class TflmEngine {
 public:
  using TensorInfo = Interpreter::TensorInfo;
  using Cut = Interpreter::Cut;
  static constexpr uint32_t kAll = Interpreter::kAll;

  // As Interpreter::Load, but places between operators take memory, so `cuts` asks for them. TFLM
  // does not tell how much it needs: on kArenaTooSmall arena->used() is only more than there is.
  Status Load(const uint8_t* data, uint32_t size, Arena* arena, bool cuts = true);
  const Refusal& refusal() const { return refusal_; }

  uint32_t input_count() const { return parts_.input_count(); }
  uint32_t output_count() const { return parts_.output_count(); }
  const TensorInfo& input_info() const { return parts_.input_info(); }
  const TensorInfo& output_info() const { return parts_.output_info(); }
  uint32_t odd_end() const { return parts_.odd_end(); }
  int8_t* input() { return input_; }
  const int8_t* output() const { return output_; }
  void Invoke();

  // Without `cuts` only kAll and 0.
  Status FindCut(uint32_t operators, Cut* cut) const;
  void Run(const Cut& cut);

 private:
  bool Start(uint8_t* memory, uint32_t size);
  uint32_t StartSmallest(uint8_t* memory, uint32_t room, uint64_t temporary);
  Status Begin(const uint8_t* data, uint32_t size, Arena* arena, bool cuts);

  Interpreter parts_;
  Refusal refusal_;
  bool cuts_ = false;
  const uint8_t* model_ = nullptr;
  void* objects_ = nullptr;
  tflite::MicroInterpreter* interpreter_ = nullptr;
  uint32_t nodes_ = 0;
  int8_t* input_ = nullptr;
  const int8_t* output_ = nullptr;
};

}  // namespace tinymia
