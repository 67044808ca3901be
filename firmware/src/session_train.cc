// The session's training: where it starts, its memory, its settings and its privacy budget.

#include <string.h>

#include "crc32.h"
#include "hal.h"
#include "release.h"
#include "session.h"

namespace tinymia {
namespace {

constexpr uint32_t kMaxSlots = 4096;
constexpr uint32_t kFewestSlots = 8;

// Bytes of workspace for a store of `slots`.
uint32_t WorkspaceFor(const BundleView& bundle, uint32_t first, const TrainSettings& settings,
                      ExampleStore* store, uint32_t slots, bool shares) {
  Arena counter(nullptr, 0);
  Trainer<float> trainer;
  const Graph& graph = bundle.graph;
  trainer.Refer(bundle.references, bundle.classifiers);
  trainer.Plan(graph, first, &settings, 1, store, slots, &counter);
  if (shares) counter.AllocArray<float>(graph.TrainedCount(first, settings.trained));
  counter.Alloc(0, 8);
  return counter.used();
}

// Whose workspace the store must leave room for. In a release build that is the same for all that
// may come: a capacity that followed the settings would tell how many windows there are.
const TrainSettings& Sizing(const TrainSettings& settings, TrainSettings* fixed) {
  if (!kRelease) return settings;
  fixed->optimizer = Optimizer::kAdam;
  SetClipNorm(fixed, 1.0f);
  SetNoiseMultiplier(fixed, 1.0f);
  SetDropout(fixed, 0.5f);
  SetJitter(fixed, 1.0f);
  SetShaped(fixed, 1);
  return *fixed;
}

__attribute__((noinline)) void AddBytes(Fnv1a* hash, const void* data, uint32_t size) {
  hash->Add(data, size);
}

template <typename T>
void AddTo(Fnv1a* hash, T value) {
  AddBytes(hash, &value, sizeof value);
}

}  // namespace

Refusal Session::PlanLayout(uint32_t first_layer, bool raw) {
  const Graph& graph = bundle_.graph;
  if (!graph.CanStartAt(first_layer)) return {Status::kBadLayer, first_layer, graph.count};
  if (!graph.Trainable(first_layer)) return {Status::kTrainingLeftOut, first_layer, graph.count};
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
  const Refusal refusal = PlanTraining(TrainSettings(), false);
  if (refusal.status != Status::kOk) {
    // The board goes on as it was.
    store_ = before;
    first_layer_ = first_before;
  }
  return refusal;
}

Refusal Session::PlanTraining(const TrainSettings& settings, bool keep) {
  const uint32_t room = (arena_.size() - fixed_) / 8 * 8;
  const bool has_rule = kRelease && bundle_.updates != nullptr;
  const bool shares = shares_ || has_rule;
  TrainSettings fixed;
  const TrainSettings& sizing = Sizing(settings, &fixed);
  // (64 bits: the layers of a hostile bundle may ask for more than there are addresses.)
  const uint64_t least =
      WorkspaceFor(bundle_, first_layer_, sizing, &store_, 0, kRelease ? has_rule : shares);
  // A slot, its label, its place in the order and a bit; 32 bytes cover what alignment takes.
  uint32_t each = store_.slot_bytes() + 1 + 2;
  if (sizing.heads != 0) each += 2;                   // its part, and another bit
  if (sizing.screen != 0) each += sizeof(float) + 1;  // its loss, and another bit
  if (sizing.teacher_epochs != 0 && sizing.references == 0) {
    each += bundle_.graph.classes() * static_cast<uint32_t>(sizeof(float));
  }
  const uint64_t left = room > least + 32 ? room - least - 32 : 0;
  uint32_t capacity = static_cast<uint32_t>(left * 8 / (each * 8 + 1));
  capacity = (capacity < kMaxSlots ? capacity : kMaxSlots) / 8 * 8;
  const auto too_small = [this](uint64_t need) -> Refusal {
    return {Status::kArenaTooSmall, need > UINT32_MAX ? UINT32_MAX : static_cast<uint32_t>(need),
            arena_.size()};
  };
  if (capacity < kFewestSlots) return too_small(fixed_ + least + 32 + (each + 1) * kFewestSlots);
  if (keep && capacity < store_.stored()) {
    return {Status::kStoreTooLarge, store_.stored(), capacity};
  }
  const uint32_t workspace_bytes =
      WorkspaceFor(bundle_, first_layer_, settings, &store_, capacity, shares);
  if (kRelease) {
    // Refused beside a store of that capacity, whatever is in it.
    const uint64_t need = static_cast<uint64_t>(store_.BytesFor(capacity)) + workspace_bytes;
    if (need > room) return too_small(fixed_ + need);
  }
  workspace_ = workspace_bytes;
  uint8_t* const base = arena_.base() + fixed_;
  if (keep) {
    store_.Resize(capacity);
  } else {
    store_.Place(base, capacity);
  }
  Arena workspace(base + room - workspace_, workspace_);
  trainer_.Refer(bundle_.references, bundle_.classifiers);
  trainer_.Plan(bundle_.graph, first_layer_, &settings, 1, &store_, capacity, &workspace);
  shared_ = shares ? workspace.AllocArray<float>(trainer_.parameter_count()) : nullptr;
  settings_ = settings;
  BeginTraining();
  return {};
}

void Session::BeginTraining() {
  const SecretKey none = {};
  const uint8_t* members = store_.bitmap();
  trainer_.Begin(&settings_, &none, &members);
  has_key_ = !settings_.is_private();
  // Of a release build anybody may begin again: the same network with other noise, or as many
  // answers again, would give away what either hides.
  if (kRelease) {
    ++begun_;
  } else {
    has_guard_key_ = false;
    answered_ = 0;
  }
  detector_.Begin();
  bare_ = false;
  ForgetShared();
}

uint32_t Session::Layout(LayoutRequest request, Reply reply) {
  shares_ = false;  // until the next SHARE
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
  if (budget == nullptr) return kRelease ? Refusal{Status::kBudgetNeeded, 0, 0} : Refusal();
  // Written so that NaN fails.
  if (!(settings.noise_multiplier >= budget->noise_multiplier)) {
    return {Status::kPrivacyRequired, static_cast<uint32_t>(Setting::kNoiseMultiplier), 0};
  }
  const float most = budget->max_rate * static_cast<float>(settings.expected_members);
  if (!(static_cast<float>(settings.batch) <= most)) {
    return {Status::kPrivacyRequired, static_cast<uint32_t>(Setting::kBatch), 0};
  }
  return {};
}

uint32_t Session::Begin(BeginRequest request, Reply reply) {
  const Setting left_out = LeftOutOf(request);
  if (left_out != Setting::kNone) {
    return reply.Fail(Status::kSettingLeftOut, static_cast<uint32_t>(left_out));
  }
  const TrainSettings settings = SettingsFrom(request);
  const Setting wrong = CheckSettings(settings);
  if (wrong != Setting::kNone) {
    return reply.Fail(Status::kBadSetting, static_cast<uint32_t>(wrong));
  }
  if (settings.augments() && !store_.raw() && store_.cut().nodes != 0) {
    return reply.Fail(Status::kWholeWindowsNeeded, first_layer_);
  }
  const References& known = bundle_.references;
  const uint32_t references =
      settings.mmd > 0 ? known.LabelledAt(first_layer_) : known.At(first_layer_);
  if (settings.references > references) {
    return reply.Fail(Status::kNoReferences, settings.references, references);
  }
  if (settings.adversary > 0 && bundle_.classifiers.count == 0) {
    return reply.Fail(Status::kNoClassifier, 1, 0);
  }
  if (settings.heads != 0 && first_layer_ + 1 != bundle_.graph.count) {
    return reply.Fail(Status::kOneLayerOnly, first_layer_, bundle_.graph.count);
  }
  if (settings.shaped != 0 && !bundle_.graph.CanShape(first_layer_, settings.trained)) {
    return reply.Fail(Status::kNoShape, first_layer_, bundle_.graph.shape.count);
  }
  // Under a rule for updates TRAIN alone can tell whether it is for one.
  const bool may_share = kRelease && bundle_.updates != nullptr;
  Refusal refusal = may_share ? Refusal() : CheckBudget(settings);
  if (refusal.status == Status::kOk) refusal = PlanTraining(settings, true);
  if (refusal.status != Status::kOk) return reply.Fail(refusal);
  BeginResponse response = {};
  if (!kRelease) response.tail_hash = trainer_.Hash(0);
  response.trained = trainer_.parameter_count();
  response.workspace = workspace_;
  response.capacity = static_cast<uint16_t>(store_.capacity());
  return reply.Ok(response);
}

uint32_t Session::Train(TrainRequest request, Reply reply) {
  // Checked again: a board trains without BEGIN, too, as it was switched on.
  // A release build may also train for an update under the bundle's rule; nobody is answered then.
  const bool ready = shared_came_ == trainer_.parameter_count() && update_width_ == 0;
  if (shared_came_ != 0 && !ready) {
    return reply.Fail(Status::kNoShared, shared_came_, trainer_.parameter_count());
  }
  const Refusal refusal = CheckBudget(settings_);
  const bool for_update = kRelease && ready && bundle_.updates != nullptr;
  if (refusal.status != Status::kOk && !for_update) return reply.Fail(refusal);
  // (With DP-SGD, or in a release build, a refusal would tell that there are none.)
  if (store_.members() == 0 && !settings_.is_private() && !for_update)
    return reply.Fail(Status::kNoMembers);
  if (request.first_epoch != trainer_.epoch()) {
    return reply.Fail(Status::kStepMismatch, request.first_epoch, trainer_.epoch());
  }
  const uint64_t asked = static_cast<uint64_t>(request.epochs) * trainer_.steps_per_epoch(0);
  const bool spends = bundle_.budget != nullptr && refusal.status == Status::kOk;
  if (spends) {
    const uint32_t left = bundle_.budget->steps - steps_spent_;
    if (asked > left) {
      const uint64_t shown = asked > UINT32_MAX ? UINT32_MAX : asked;
      return reply.Fail(Status::kBudgetSpent, static_cast<uint32_t>(shown), left);
    }
  }
  if (!has_key_) {
    SecretKey key = {};
    if (!DrawKey(settings_.seed, &key)) return reply.Fail(Status::kNoEntropy);
    const uint8_t* members = store_.bitmap();
    trainer_.Begin(&settings_, &key, &members);
    if (ready) trainer_.Start(0, shared_);
    has_key_ = true;
  }
  if (spends) steps_spent_ += static_cast<uint32_t>(asked);
  bare_ = bare_ || refusal.status != Status::kOk;
  trainer_.Watch(
      {[](void* self) { return static_cast<Session*>(self)->LookAtWork(); }, this, kFirstLook});
  StartWork();
  if (request.epochs > 0) detector_.Begin();  // what was learnt of the last head is of no use now
  TrainResult result;
  trainer_.Train(request.epochs, &result);
  TrainResponse response = {};
  response.epoch = trainer_.epoch();
  // What is told about the data without noise would not be private; ticks tell how many examples
  // were drawn.
  if (!kRelease) {
    response.ticks = watch_.Look();
    response.tail_hash = trainer_.Hash(0);
    response.stopped = static_cast<uint8_t>(result.stopped);
    response.loss = Canonical(result.loss);
    response.held_out = Canonical(result.held_out);
    response.steps = result.steps;
    response.clipped = result.clipped;
  }
  return reply.Ok(response);
}

uint64_t Session::SettingsHash() const {
  Fnv1a hash;
  EachSetting(settings_, [&hash](auto value) { AddTo(&hash, value); });
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
