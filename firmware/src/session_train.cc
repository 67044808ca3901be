// The session's training: where it starts, its memory, its settings and its privacy budget.

#include <string.h>

#include "crc32.h"
#include "hal.h"
#include "secret.h"
#include "session.h"

namespace tinymia {
namespace {

constexpr uint32_t kMaxSlots = 4096;
constexpr uint32_t kFewestSlots = 8;

// Bytes of workspace for a store of `slots`.
uint32_t WorkspaceFor(const Graph& graph, uint32_t first, const TrainSettings& settings,
                      ExampleStore* store, uint32_t slots) {
  Arena counter(nullptr, 0);
  Trainer<float> trainer;
  trainer.Plan(graph, first, &settings, 1, store, slots, &counter);
  counter.Alloc(0, 8);
  return counter.used();
}

template <typename T>
void AddTo(Fnv1a* hash, T value) {
  hash->Add(&value, sizeof value);
}

}  // namespace

Refusal Session::PlanLayout(uint32_t first_layer, bool raw) {
  const Graph& graph = bundle_.graph;
  if (!graph.CanStartAt(first_layer)) return {Status::kBadLayer, first_layer, graph.count};
  const Layer& layer = graph.layers[first_layer];
  Engine::Cut cut;
  const Status status = engine_.FindCut(layer.cut, &cut);
  if (status != Status::kOk) return {status, 0, 0};
  if (static_cast<uint32_t>(cut.info.bytes) != layer.inputs()) {
    return {Status::kTailMismatch, layer.inputs(), static_cast<uint32_t>(cut.info.bytes)};
  }
  const ExampleStore before = store_;
  const uint32_t first_before = first_layer_;
  first_layer_ = first_layer;
  store_.Plan(&engine_, cut, raw);
  TrainSettings settings;
  settings.batch = 8;
  const Refusal refusal = PlanTraining(settings, false);
  if (refusal.status != Status::kOk) {
    // The board goes on as it was.
    store_ = before;
    first_layer_ = first_before;
  }
  return refusal;
}

Refusal Session::PlanTraining(const TrainSettings& settings, bool keep) {
  const uint32_t room = (arena_.size() - fixed_) / 8 * 8;
  // (64 bits: the layers of a hostile bundle may ask for more than there are addresses.)
  const uint64_t least = WorkspaceFor(bundle_.graph, first_layer_, settings, &store_, 0);
  // A slot, its label, its place in the order and a bit; 32 bytes cover what alignment takes.
  const uint32_t each = store_.slot_bytes() + 1 + 2;
  const uint64_t left = room > least + 32 ? room - least - 32 : 0;
  uint32_t capacity = static_cast<uint32_t>(left * 8 / (each * 8 + 1));
  capacity = (capacity < kMaxSlots ? capacity : kMaxSlots) / 8 * 8;
  if (capacity < kFewestSlots) {
    const uint64_t need = static_cast<uint64_t>(fixed_) + least + 32 + (each + 1) * kFewestSlots;
    return {Status::kArenaTooSmall, need > UINT32_MAX ? UINT32_MAX : static_cast<uint32_t>(need),
            arena_.size()};
  }
  if (keep && capacity < store_.stored()) {
    return {Status::kStoreTooLarge, store_.stored(), capacity};
  }
  workspace_ = WorkspaceFor(bundle_.graph, first_layer_, settings, &store_, capacity);
  uint8_t* const base = arena_.base() + fixed_;
  if (keep) {
    store_.Resize(capacity);
  } else {
    store_.Place(base, capacity);
  }
  Arena workspace(base + room - workspace_, workspace_);
  trainer_.Plan(bundle_.graph, first_layer_, &settings, 1, &store_, capacity, &workspace);
  settings_ = settings;
  const Status status = BeginTraining();
  return {status, 0, 0};
}

Status Session::BeginTraining() {
  SecretKey key = {};
  if (settings_.is_private() && !DrawKey(settings_.seed, &key)) return Status::kNoEntropy;
  const uint8_t* members = store_.bitmap();
  trainer_.Begin(&settings_, &key, &members);
  return Status::kOk;
}

uint32_t Session::Layout(LayoutRequest request, Reply reply) {
  const Refusal refusal = PlanLayout(request.first_layer, request.raw != 0);
  if (refusal.status != Status::kOk) return reply.Fail(refusal);
  LayoutResponse response = {};
  response.slot_bytes = store_.slot_bytes();
  response.capacity = static_cast<uint16_t>(store_.capacity());
  response.trained = trainer_.parameter_count();
  response.workspace = workspace_;
  return reply.Ok(response);
}

Refusal Session::CheckBudget(const TrainSettings& settings) const {
  const Budget* budget = bundle_.budget;
  if (budget == nullptr) return {};
  // Written so that NaN fails.
  if (!(settings.noise_multiplier >= budget->noise_multiplier)) {
    return {Status::kPrivacyRequired, static_cast<uint32_t>(Setting::kNoiseMultiplier), 0};
  }
  const float most = budget->max_rate * static_cast<float>(store_.members());
  if (store_.members() != 0 && !(static_cast<float>(settings.batch) <= most)) {
    return {Status::kPrivacyRequired, static_cast<uint32_t>(Setting::kBatch), 0};
  }
  return {};
}

uint32_t Session::Begin(BeginRequest request, Reply reply) {
  TrainSettings settings;
  settings.learning_rate = request.learning_rate;
  settings.batch = request.batch;
  settings.clip_norm = request.clip_norm;
  settings.label_smoothing = request.label_smoothing;
  settings.seed = request.seed;
  settings.trained = static_cast<Trained>(request.trained);
  settings.optimizer = static_cast<Optimizer>(request.optimizer);
  settings.momentum = request.momentum;
  settings.beta2 = request.beta2;
  settings.schedule = static_cast<RateSchedule>(request.schedule);
  settings.schedule_epochs = request.schedule_epochs;
  settings.l2 = request.l2;
  settings.dropout = request.dropout;
  settings.mixup = request.mixup;
  settings.holdout = request.holdout;
  settings.patience = request.patience;
  settings.jitter = request.jitter;
  settings.scaling = request.scaling;
  settings.rotation = request.rotation;
  settings.shift = request.shift;
  settings.noise_multiplier = request.noise_multiplier;
  const Setting wrong = CheckSettings(settings);
  if (wrong != Setting::kNone) {
    return reply.Fail(Status::kBadSetting, static_cast<uint32_t>(wrong));
  }
  if (settings.augments() && !store_.raw() && store_.cut().nodes != 0) {
    return reply.Fail(Status::kWholeWindowsNeeded, first_layer_);
  }
  Refusal refusal = CheckBudget(settings);
  if (refusal.status == Status::kOk) refusal = PlanTraining(settings, true);
  if (refusal.status != Status::kOk) return reply.Fail(refusal);
  BeginResponse response = {};
  response.tail_hash = trainer_.Hash(0);
  response.trained = trainer_.parameter_count();
  response.workspace = workspace_;
  response.capacity = static_cast<uint16_t>(store_.capacity());
  return reply.Ok(response);
}

uint32_t Session::Train(TrainRequest request, Reply reply) {
  if (store_.members() == 0) return reply.Fail(Status::kNoMembers);
  if (request.first_epoch != trainer_.epoch()) {
    return reply.Fail(Status::kStepMismatch, request.first_epoch, trainer_.epoch());
  }
  if (bundle_.budget != nullptr) {
    // Checked again: the members may have been chosen since.
    const Refusal refusal = CheckBudget(settings_);
    if (refusal.status != Status::kOk) return reply.Fail(refusal);
    const uint64_t asked = static_cast<uint64_t>(request.epochs) * trainer_.steps_per_epoch(0);
    const uint32_t left = bundle_.budget->steps - steps_spent_;
    if (asked > left) {
      const uint64_t shown = asked > UINT32_MAX ? UINT32_MAX : asked;
      return reply.Fail(Status::kBudgetSpent, static_cast<uint32_t>(shown), left);
    }
    steps_spent_ += static_cast<uint32_t>(asked);
  }
  trainer_.Watch(
      {[](void* self) { return static_cast<Session*>(self)->LookAtWork(); }, this, kFirstLook});
  StartWork();
  TrainResult result;
  trainer_.Train(request.epochs, &result);
  TrainResponse response = {};
  response.ticks = watch_.Look();
  response.epoch = trainer_.epoch();
  response.tail_hash = trainer_.Hash(0);
  response.stopped = static_cast<uint8_t>(result.stopped);
  // What is told about the data without noise would not be private.
  if (!(settings_.is_private() && kSecretSource == SecretSource::kChip)) {
    response.loss = Canonical(result.loss);
    response.held_out = Canonical(result.held_out);
    response.steps = result.steps;
    response.clipped = result.clipped;
  }
  return reply.Ok(response);
}

uint64_t Session::SettingsHash() const {
  const TrainSettings& s = settings_;
  Fnv1a hash;
  AddTo(&hash, s.learning_rate);
  AddTo(&hash, s.batch);
  AddTo(&hash, s.clip_norm);
  AddTo(&hash, s.label_smoothing);
  AddTo(&hash, s.seed);
  AddTo(&hash, s.trained);
  AddTo(&hash, s.optimizer);
  AddTo(&hash, s.momentum);
  AddTo(&hash, s.beta2);
  AddTo(&hash, s.schedule);
  AddTo(&hash, s.schedule_epochs);
  AddTo(&hash, s.l2);
  AddTo(&hash, s.dropout);
  AddTo(&hash, s.mixup);
  AddTo(&hash, s.holdout);
  AddTo(&hash, s.patience);
  AddTo(&hash, s.jitter);
  AddTo(&hash, s.scaling);
  AddTo(&hash, s.rotation);
  AddTo(&hash, s.shift);
  AddTo(&hash, s.noise_multiplier);
  AddTo(&hash, first_layer_);
  AddTo(&hash, store_.raw());
  return hash.value();
}

uint32_t Session::ReadTail(TailRequest request, Reply reply) const {
  const uint32_t all = trainer_.parameter_count();
  if (request.first > all || request.count > all - request.first ||
      request.count * 4u > Reply::Room(TailResponse::kFixed)) {
    return reply.Fail(Status::kBadRequest, request.first + request.count, all);
  }
  TailResponse response = {};
  response.values_bytes = request.count * 4u;
  memcpy(reply.Open(TailResponse::kFixed), trainer_.parameters() + request.first,
         response.values_bytes);
  return reply.Ok(response);
}

}  // namespace tinymia
