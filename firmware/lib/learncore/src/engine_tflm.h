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

class TflmEngine {
 public:
  using TensorInfo = Interpreter::TensorInfo;
  using Cut = Interpreter::Cut;
  static constexpr uint32_t kAll = Interpreter::kAll;

  // As Interpreter::Load, which checks the file first, because TFLM trusts it. TFLM does not tell
  // how much it needs: on kArenaTooSmall arena->used() is only more than there is. With `cuts`
  // every tensor gets memory of its own, if there is room for it.
  Status Load(const uint8_t* data, uint32_t size, Arena* arena, bool cuts = true);

  const TensorInfo& input_info() const { return input_info_; }
  const TensorInfo& output_info() const { return output_info_; }
  int8_t* input() { return input_; }
  const int8_t* output() const { return output_; }
  void Invoke();

  // kArenaTooSmall: there was no room to keep the tensors between operators.
  Status FindCut(uint32_t operators, Cut* cut) const;
  // TFLM runs all operators or none.
  void Run(const Cut& cut);

 private:
  bool Start(uint8_t* memory, uint32_t size, bool cuts);
  uint32_t StartSmallest(uint8_t* memory, uint32_t room, bool cuts, uint64_t temporary,
                         uint64_t tensors);
  Status Begin(const uint8_t* data, uint32_t size, Arena* arena, bool cuts);

  const uint8_t* model_ = nullptr;
  uint32_t model_size_ = 0;
  void* objects_ = nullptr;
  tflite::MicroInterpreter* interpreter_ = nullptr;
  bool cuts_ = false;
  uint32_t nodes_ = 0;
  int8_t* input_ = nullptr;
  const int8_t* output_ = nullptr;
  TensorInfo input_info_ = {};
  TensorInfo output_info_ = {};
};

}  // namespace tinymia
