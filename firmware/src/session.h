// What the board does for its host: one method a message of firmware/protocol/protocol.toml.
#pragma once

#include <stdint.h>

#include "answer/detector.h"
#include "answer/guard.h"
#include "arena.h"
#include "bundle.h"
#include "cold.h"
#include "federated/update.h"
#include "masks.h"
#include "messages.h"
#include "model_engine.h"
#include "stopwatch.h"
#include "train/store.h"
#include "train/trainer.h"

namespace tinymia {

class Session {
 public:
  Session(uint8_t* arena, uint32_t arena_size) : arena_(arena, arena_size) {}

  // Checks the bundle and plans the whole arena. A refusal is kept and told to the host; the board
  // stays up.
  void Load(const uint8_t* data, uint32_t room);

  // `busy` is called at least four times a second while many items of a request are worked on.
  void OnBusy(void (*busy)()) { busy_ = busy; }

  // For the text commands. They change nothing that a frame could see.
  uint32_t window_bytes() const;  // of the model's input; 0: there is no usable bundle
  uint32_t bundle_crc() const { return bundle_.crc; }
  void Predict(const int8_t* window);
  void ForgetParts() { parts_ = 0; }                     // of a window: Predict overwrites them
  uint32_t answers() const;                              // numbers of a prediction
  float answer(uint32_t k) const { return answer_[k]; }  // valid until the next request

  // A Link::Execute: `context` is the session.
  static uint32_t Execute(void* context, uint8_t type, uint8_t* payload, uint32_t size,
                          uint8_t* response);

 private:
  // Where a handler writes: status first, then the fixed fields, then what they say.
  struct Reply {
    uint8_t* at;
    uint32_t Fail(Status status, uint32_t a = 0, uint32_t b = 0) const;
    uint32_t Fail(const Refusal& why) const { return Fail(why.status, why.a, why.b); }
    template <typename Message>
    uint32_t Ok(const Message& message) const {
      *at = static_cast<uint8_t>(Status::kOk);
      return 1 + message.Write(at + 1);
    }
    uint32_t OkEmpty() const {
      *at = static_cast<uint8_t>(Status::kOk);
      return 1;
    }
    uint8_t* Open(uint32_t fixed) const { return at + 1 + fixed; }  // the open array at the end
    static constexpr uint32_t Room(uint32_t fixed) { return kMaxPayload - 1 - fixed; }
  };

  // Whether this image can train anything: else all of that is left out of it.
  static constexpr bool kTrains = kTrainedKinds != 0;
  bool has_tail() const { return kTrains && bundle_.graph.count != 0; }

  TINYMIA_COLD Refusal Plan(const uint8_t* data, uint32_t room);
  // Where training starts and what the store keeps; empties the store.
  TINYMIA_COLD Refusal PlanLayout(uint32_t first_layer, bool raw);
  // Memory for the store and for training with these settings. What is stored stays if `keep`.
  TINYMIA_COLD Refusal PlanTraining(const TrainSettings& settings, bool keep);
  TINYMIA_COLD void BeginTraining();  // back to the base network

  uint32_t Dispatch(Type type, uint8_t* payload, uint32_t size, Reply reply);
  TINYMIA_COLD uint32_t Hello(HelloRequest request, Reply reply);
  TINYMIA_COLD uint32_t Info(Reply reply) const;
  TINYMIA_COLD uint32_t State(Reply reply) const;
  TINYMIA_COLD uint32_t Clear(Reply reply);
  uint32_t Put(PutRequest request, Reply reply);
  uint32_t Part(PartRequest request, Reply reply);
  uint32_t Infer(InferRequest request, Reply reply);
  TINYMIA_COLD uint32_t Select(SelectRequest request, Reply reply);
  TINYMIA_COLD uint32_t Layout(LayoutRequest request, Reply reply);
  TINYMIA_COLD uint32_t Begin(BeginRequest request, Reply reply);
  uint32_t Train(TrainRequest request, Reply reply);
  uint32_t Query(QueryRequest request, Reply reply);
  uint32_t Ask(AskRequest request, Reply reply);
  TINYMIA_COLD uint32_t Guard(GuardRequest request, Reply reply);
  TINYMIA_COLD uint32_t ReadTail(TailRequest request, Reply reply) const;
  TINYMIA_COLD uint32_t Share(ShareRequest request, Reply reply);
  TINYMIA_COLD uint32_t MakeUpdate(UpdateRequest request, Reply reply);
  TINYMIA_COLD uint32_t Give(GiveRequest request, Reply reply) const;
  TINYMIA_COLD uint32_t Mask(MaskRequest request, Reply reply);
  TINYMIA_COLD uint32_t Peer(PeerRequest request, Reply reply);
  TINYMIA_COLD uint32_t Reveal(RevealRequest request, Reply reply);

  uint32_t WindowSize() const { return static_cast<uint32_t>(engine_.input_info().bytes); }
  // The window that a request holds or, where it holds none, the one that came in parts before it,
  // which lies in the engine's input. nullptr: it is not whole, and `reply` tells `*refused` so.
  const int8_t* WindowOf(const uint8_t* data, uint32_t bytes, Reply reply, uint32_t* refused);

  // Items until the first look: seldom enough to cost nothing, often enough to keep to the beat.
  static constexpr uint32_t kFirstLook = 16;
  // Work of many items (windows, answers, examples) is watched: its ticks are summed before the
  // counter turns, and the host hears that it goes on.
  void StartWork(uint32_t first_look = kFirstLook);
  uint32_t LookAtWork();  // after how many more items to look again
  void PassItem() {
    if (--until_look_ == 0) until_look_ = LookAtWork();
  }

  TINYMIA_COLD uint64_t SettingsHash() const;
  TINYMIA_COLD Refusal CheckBudget(const TrainSettings& settings) const;
  Refusal CheckPolicy(uint8_t policy, uint16_t levels) const;
  Refusal CheckRule(const UpdateSettings& settings, bool masked) const;
  // Nothing of a shared tail is there.
  void ForgetShared() {
    shared_came_ = update_width_ = 0;
    masks_.Forget();
  }
  uint32_t AnswerBytes(uint8_t policy, uint16_t levels) const;
  // What of the settings cannot be done with this bundle.
  TINYMIA_COLD Refusal CheckGuard(const GuardSettings& settings) const;
  // Before so many answers: whether they may be given, and the key of their randomness.
  Refusal StartAnswers(uint32_t count);
  void Answer(const int8_t* features);  // of the trained network, guarded
  // The same of a question that crossed the line, which the detector sees.
  void AnswerQuestion(const int8_t* features);
  TINYMIA_COLD Refusal CheckQuestions() const;  // whether the detector lets answers go on
  void WriteAnswer(uint8_t policy, uint16_t levels, uint8_t* out);  // what was predicted last

  Arena arena_;
  Refusal refusal_;
  BundleView bundle_;
  Engine engine_;
  ExampleStore store_;
  Trainer<float> trainer_;
  TrainSettings settings_;
  void (*busy_)() = nullptr;
  Stopwatch watch_;
  uint64_t said_busy_ = 0;   // ticks of the work then
  uint32_t look_every_ = 1;  // items
  uint32_t until_look_ = 0;
  uint32_t parts_ = 0;  // bytes in the engine's input that came in parts
  uint32_t came_ = 0;   // of them before the request that runs
  uint32_t first_layer_ = 0;
  GuardSettings guard_;
  DetectorIf<kGuards>::Type detector_;
  // Of answers' randomness and how many were given: of this training, or, in a release build, since
  // the board was switched on.
  SecretKey guard_key_ = {};
  bool has_guard_key_ = false;
  uint32_t answered_ = 0;
  uint32_t begun_ = 0;       // trainings of a release build
  float* answer_ = nullptr;  // [answers()]
  float* guard_scratch_ = nullptr;
  uint32_t model_arena_ = 0;
  uint32_t fixed_ = 0;        // model and answer; then come store and workspace
  uint32_t workspace_ = 0;    // bytes at the arena's end
  uint32_t steps_spent_ = 0;  // of the privacy budget, since the board started
  bool has_key_ = false;      // of DP-SGD, for this training; drawn by its first TRAIN
  Masks masks_;
  float* shared_ = nullptr;  // [parameter_count], then the update; nullptr: no room was asked for
  bool shares_ = false;      // whether there is room for it
  uint32_t shared_came_ = 0;
  uint8_t update_width_ = 0;  // bytes of each number of the update that was made; 0: none was
  uint32_t updates_ = 0;      // made since the board started
  bool bare_ = false;         // trained for an update without what the answers' privacy asks for
};

}  // namespace tinymia
