// Runs an int8 .tflite file from where it lies (flash): the same bytes as TensorFlow Lite Micro's
// reference kernels. Load checks everything, so Invoke cannot fail.
#pragma once

#include <stdint.h>

#include "arena.h"
#include "kernels/kernel.h"
#include "refusal.h"
#include "status.h"

namespace tinymia {

class Interpreter {
 public:
  struct TensorInfo {
    int32_t dims[4];
    int32_t rank;
    int32_t bytes;
    float scale;
    int32_t zero_point;
  };

  // `data` must stay in place; the arena's memory, too, and be aligned to 8 bytes. The file is
  // untrusted. On kArenaTooSmall arena->used() is the size that is needed; it is a lower bound
  // when the arena cannot even hold the planner's table. After any error Invoke does nothing.
  // `cuts`: whether FindCut will be asked for places between operators. They cost nothing here.
  Status Load(const uint8_t* data, uint32_t size, Arena* arena, bool cuts = true);
  // What the last Load refused, and where in the file.
  const Refusal& refusal() const { return refusal_; }

  const TensorInfo& input_info() const { return input_info_; }
  const TensorInfo& output_info() const { return output_info_; }
  // The tensor of the first end that is not int8 but int16 or int32, or kNowhere.
  uint32_t odd_end() const { return odd_end_; }

  // Invoke may overwrite the input: write it before every Invoke.
  int8_t* input() { return input_; }
  // Valid after Invoke, up to the next write to the input.
  const int8_t* output() const { return output_; }

  // All inputs, then all outputs; those above are the first of each.
  uint32_t input_count() const { return input_count_; }
  uint32_t output_count() const { return output_count_; }
  TensorInfo EndInfo(uint32_t i) const;
  int8_t* End(uint32_t i);

  void Invoke();

  // A place between two operators: the tensor that is computed there, and how far to run for it.
  struct Cut {
    uint32_t nodes = 0;
    const int8_t* data = nullptr;  // valid after Run, up to the next write to the input
    TensorInfo info = {};
  };
  // The output of the first `operators` operators of the file (0: the model's input, kAll: its
  // output). Refused: more operators than there are, an output that is not int8.
  static constexpr uint32_t kAll = 0xFFFE;
  Status FindCut(uint32_t operators, Cut* cut) const;
  void Run(const Cut& cut);

 private:
  void RunNodes(uint32_t count);

  EvalContext context_ = {nullptr, nullptr};
  const Node* nodes_ = nullptr;
  uint32_t node_count_ = 0;
  uint32_t model_size_ = 0;
  uint32_t input_count_ = 0;
  uint32_t output_count_ = 0;
  uint32_t odd_end_ = kNowhere;
  Ref ends_ = kNoRef;
  int8_t* input_ = nullptr;
  const int8_t* output_ = nullptr;
  TensorInfo input_info_ = {};
  TensorInfo output_info_ = {};
  Refusal refusal_;
};

}  // namespace tinymia
