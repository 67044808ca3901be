// Whole epochs of training over the members of a store, and the answers of the trained network: for
// one device (F = float) or, in the twin, for many that run in step, each with settings, members
// and a seed of its own. A device's result does not depend on who runs beside it.
#pragma once

#include <stdint.h>

#include "../arena.h"
#include "adversary.h"
#include "batches.h"
#include "gaussian.h"
#include "likeness.h"
#include "net.h"
#include "objective.h"
#include "references.h"
#include "screening.h"
#include "settings.h"
#include "store.h"
#include "update.h"

namespace tinymia {

struct TrainResult {
  float loss = 0;      // mean over the last epoch that ran, before each update
  float held_out = 0;  // of the held-out examples behind that epoch; 0 without early stopping
  uint32_t steps = 0;  // examples
  uint32_t clipped = 0;
  uint32_t stopped = 0;  // 1: early stopping has ended the training
};

template <typename F>
class Trainer {
 public:
  static constexpr uint32_t kLanes = Lanes<F>::kCount;

  // Takes all memory of training from the arena, for `count` settings (those that may come to the
  // lanes; `trained` is the same in all) and a store of `slots`. False when the arena is too small:
  // arena->used() is then what is needed.
  TINYMIA_COLD bool Plan(const Graph& graph, uint32_t first, const TrainSettings* settings,
                         uint32_t count, ExampleStore* store, uint32_t slots, Arena* arena);

  // Before Plan: the bundle's references and classifiers of members, where it has some.
  void Refer(const References& references, const Classifiers& classifiers) {
    references_ = references;
    classifier_ = classifiers.first;
  }

  // Back to the base network, epoch 0. One entry a lane: settings, keys, and bitmaps of the members
  // (bit i: slot i). Settings and bitmaps stay where they are until the next Begin.
  void Begin(const TrainSettings* settings, const SecretKey* keys, const uint8_t* const* members);
  // Behind Begin: this lane starts at these parameters, [parameter_count()], not at the base, and
  // is pulled to them where it would be pulled to the base. One device (not in lanes) reads them as
  // long as it trains, or until it forgets them.
  void Start(uint32_t lane, const float* parameters);
  void ForgetStart() { net_.ForgetStart(); }
  // See Watcher. Results: one a lane, over these epochs.
  void Watch(const Watcher& watcher) { net_.Watch(watcher); }
  void Train(uint32_t epochs, TrainResult* results);

  // Class probabilities, [classes], for what the trained layers read.
  void Answer(const int8_t* features, F* probabilities);
  // The same for n rows one behind the other, [n][classes]; n up to most_answers(). Valid until the
  // next call.
  const F* AnswerTogether(const int8_t* features, uint32_t n);
  uint32_t most_answers() const { return net_.together() == 0 ? 1 : net_.together(); }

  uint32_t epoch() const { return epoch_; }
  uint32_t parameter_count() const { return net_.parameter_count(); }
  // What is trained: layer by layer, weights (unless biases only), then bias.
  const F* parameters() const { return net_.parameters(); }
  uint32_t steps_per_epoch(uint32_t lane) const { return lanes_[lane].batches.steps(); }
  uint64_t Hash(uint32_t lane) const;
  void Hashes(uint64_t* hashes) const;  // of every lane

 private:
  struct Lane {
    Batches batches;
    const TrainSettings* settings;
    uint32_t updates;  // since Begin
    uint32_t steps;    // of this epoch; 0 once stopped
    uint32_t in_step;  // examples of this step
    uint32_t worse;    // epochs since the best held-out loss
    float best_loss;
    float held_out;
    bool stopped;
    uint32_t rounds;         // of an epoch: its heads, or one
    const int8_t* rows;      // a student's references; nullptr: it reads the store
    const uint8_t* members;  // less those that were left out
  };
  // What is drawn in a step for every lane; lanes without an example keep their last.
  struct Targets {
    F label{}, partner{}, mix{};
    const F* soft = nullptr;  // [classes], of students
  };

  void RunEpoch(TrainResult* results);
  void RunRound(uint32_t round, TrainResult* results);
  // Several heads, and teachers with their students: see trainer_phases.h.
  TINYMIA_COLD void PlanPhases(Arena* arena);
  TINYMIA_COLD void BeginPhases();
  TINYMIA_COLD void Screen();         // once, before the first epoch
  TINYMIA_COLD void StartStudents();  // whose teachers are ready
  TINYMIA_COLD void Teach(MaskOf<F> starting);
  TINYMIA_COLD void AnswerSoftly(const int8_t* features);  // into the logits' gradient
  TINYMIA_COLD void TakeHead(uint32_t head);
  TINYMIA_COLD void PutHead(uint32_t head);
  TINYMIA_COLD void MixHeads();
  TINYMIA_COLD void StartStack();
  TINYMIA_COLD void Stack();  // the combination learns, and becomes the parameters
  bool LeavesOut(uint32_t lane, uint32_t head, uint32_t slot) const;  // of a member
  void LoadSoft(const Example* examples);
  template <bool kTaught>
  const int8_t* RowOf(uint32_t lane, uint32_t slot) {
    const int8_t* rows = kTaught ? lanes_[lane].rows : nullptr;
    return rows == nullptr ? store_->Features(slot) : rows + slot * net_.inputs();
  }
  ShuffleDraw StartLane(uint32_t lane);
  void RunStep(uint32_t step, TrainResult* results);
  // Draws the words of that step's Poisson sampling for all lanes, in vectors.
  void DrawSampling(uint32_t step);
  void LoadExamples(uint32_t i) {
    if (needs_.teaching) {
      LoadExamplesOf<true>(i);
    } else {
      LoadExamplesOf<false>(i);
    }
  }
  template <bool kTaught>
  void LoadExamplesOf(uint32_t i);
  void LoadAlike(const int8_t* features);  // the same for all lanes
  template <bool kTaught>
  void LoadInput(const Example* examples, bool partners, F* to);
  template <typename M>
  void Learn(M mask, bool first);
  // What LoadExamples and Learn do for n examples from the i-th on, which every lane has. With a
  // `step` they are the whole batch, and the parameters take it.
  void LearnTogether(uint32_t i, uint32_t n, bool all, const F* step);
  template <typename Sums>
  void SumTogether(uint32_t n, const MaskOf<F>* masks, const F* scales, const Sums& sums);
  void LoadTogether(uint32_t i, uint32_t n);
  // From the logits to their gradient.
  template <typename M>
  void Judge(M mask, const F* logits);
  // From probabilities to the gradient of the logits under the lanes' objectives; returns the
  // target's own logit. log_total: log(sum(exp(logits))).
  F Shape(const F* logits, F log_total, F* delta);
  // Of the terms that follow from probabilities p, with respect to the logits: into slopes_.
  TINYMIA_COLD void FindSlopes(const F* p);
  TINYMIA_COLD void MeetReferences();                   // for the classes' means of an epoch
  TINYMIA_COLD void Rival(MaskOf<F> mask, uint32_t i);  // the adversary learns from an example
  F ClassOfExample() const;                             // of mixed ones the larger share's
  // Tells the objective of the step that comes, of up to `most` examples, what their loss is.
  void LookAhead(uint32_t most);
  F OwnLogit(const F* logits) const;
  void Compress();  // the weights behind an epoch
  // Clips every layer's delta, by the squared norm of the gradient.
  template <typename M>
  void Bound(M mask, F norm2, F* scale = nullptr);  // scale: of what is left to the sums
  // From probabilities to the gradient of the logits; returns the target's own logit.
  F Subtract(const F* logits, F* delta) const;
  float SubtractOne(const float* logits, float* delta) const;  // the same for one device's label
  // `to` becomes exp(logits - top), where `top` is the largest of them; returns the sum.
  F Exponentials(const F* logits, F* to, F* top) const;
  void Divide(F* values, F sum) const;
  // `to` becomes the class probabilities; returns log(sum(exp(logits))).
  F Softmax(const F* logits, F* to) const;
  void SetUnits(uint32_t lane, const TrainSettings& settings);
  void AddNoise(uint32_t step);  // and back from whole units to floats
  void CheckHeldOut(TrainResult* results);
  void CopyLane(const F* from, uint32_t lane, F* to);

  Net<F> net_;
  Update<F> update_;
  Objective<F> objective_;
  Adversary<F> adversary_;
  Likeness<F> likeness_;
  Screening<F> screening_;
  Classifier classifier_;
  F* slopes_ = nullptr;  // [classes]
  Needs needs_;
  ExampleStore* store_ = nullptr;
  Lane* lanes_ = nullptr;
  const int8_t** rows_ = nullptr;   // [kLanes] what the trained layers read
  uint16_t* order_ = nullptr;       // [kLanes][slots]
  uint16_t* unshuffled_ = nullptr;  // the same as it starts in each epoch, in vectors
  UintOf<F>* sampling_ = nullptr;   // words of a step's Poisson sampling, in vectors
  Targets* held_ = nullptr;         // of examples that are taken together, in vectors
  F* mixed_ = nullptr;              // features of the partners, with mixup
  References references_;
  uint8_t* all_ = nullptr;     // a bitmap of all references
  F* soft_ = nullptr;          // [references or slots][classes], of teachers
  F* targets_soft_ = nullptr;  // [examples that are taken together][classes]
  F* heads_ = nullptr;         // [heads][parameters]
  F* stack_ = nullptr;         // [classes][heads * classes + 1] what combines the heads' logits
  F* stacked_ = nullptr;       // its gradient, in the same places; then the logits of one example
  uint8_t* part_ = nullptr;    // [kLanes][slots] of members
  uint8_t* others_ = nullptr;  // [kLanes][bitmap] members of the head that is trained
  uint32_t slots_ = 0;
  uint32_t order_room_ = 0;
  uint32_t epoch_ = 0;
  // A plain step behind each example goes straight into the parameters: no gradient is kept.
  MaskOf<F> direct_{};
  bool any_direct_ = false;
  bool all_direct_ = false;

  F rate_{};  // of the epoch
  F clip_{}, on_{}, off_{}, to_units_{}, from_units_{};
  IntOf<F> noise_half_{}, noise_shift_{};  // see NoiseUnits
  SecretState<UintOf<F>> secret_;
  MaskOf<F> has_clip_{}, is_private_{}, is_shaped_{}, has_heads_{}, is_student_{}, has_slopes_{};
  F softening_{};  // 1 / the teacher's temperature
  Targets targets_;
  F loss_{};  // summed over the epoch
  IntOf<F> clipped_{};
};

}  // namespace tinymia

#include "trainer_impl.h"
