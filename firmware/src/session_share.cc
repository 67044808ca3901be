// The session's part in collaborative training: a shared tail comes, an update goes.

#include <string.h>

#include "hal.h"
#include "release.h"
#include "session.h"

namespace tinymia {
namespace {

// Terms of a bundle's rule, as a refusal numbers them.
enum class Term : uint32_t { kNone = 0, kClipNorm, kNoise, kMasks, kUpdates };

Refusal Forbidden(Term term) { return {Status::kUpdateForbidden, static_cast<uint32_t>(term), 0}; }

}  // namespace

uint32_t Session::Share(ShareRequest request, Reply reply) {
  const uint32_t all = trainer_.parameter_count();
  const uint32_t count = request.values_bytes / 4;
  if (shared_ == nullptr) {
    const TrainSettings settings = settings_;
    shares_ = true;
    const Refusal refusal = PlanTraining(settings, true);
    if (refusal.status != Status::kOk) {
      shares_ = false;
      return reply.Fail(refusal);
    }
  }
  // A first part begins it anew, also after training.
  if (request.first == 0) BeginTraining();
  if (request.first != shared_came_ || update_width_ != 0) {
    return reply.Fail(Status::kNoShared, shared_came_, all);
  }
  if (count == 0 || count > all - shared_came_) {
    return reply.Fail(Status::kBadRequest, request.first + count, all);
  }
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t bits;
    memcpy(&bits, request.values + 4 * i, sizeof bits);
    if ((bits & 0x7F800000u) == 0x7F800000u) {  // NaN or infinite
      return reply.Fail(Status::kBadUpdate, static_cast<uint32_t>(UpdateTerm::kShared));
    }
  }
  memcpy(shared_ + shared_came_, request.values, count * sizeof(float));
  shared_came_ += count;
  if (shared_came_ == all) trainer_.Start(0, shared_);
  ShareResponse response = {};
  response.came = shared_came_;
  return reply.Ok(response);
}

Refusal Session::CheckRule(const UpdateSettings& settings, bool masked) const {
  if (!kRelease) return {};
  const UpdateRule* rule = bundle_.updates;
  if (rule == nullptr) return Forbidden(Term::kNone);
  if (settings.clip_norm > rule->clip_norm) return Forbidden(Term::kClipNorm);
  if (settings.noise < rule->noise) return Forbidden(Term::kNoise);
  if (rule->masked != 0 && !masked) return Forbidden(Term::kMasks);
  if (updates_ >= rule->updates) return Forbidden(Term::kUpdates);
  return {};
}

uint32_t Session::MakeUpdate(UpdateRequest request, Reply reply) {
  const uint32_t all = trainer_.parameter_count();
  const UpdateSettings settings = {request.clip_norm, request.units, request.noise};
  UpdateTerm wrong = CheckUpdate(settings);
  if (wrong == UpdateTerm::kNone && (request.width < 1 || request.width > 4)) {
    wrong = UpdateTerm::kWidth;
  }
  if (wrong != UpdateTerm::kNone) {
    return reply.Fail(Status::kBadUpdate, static_cast<uint32_t>(wrong));
  }
  if (shared_came_ != all || update_width_ != 0) {
    return reply.Fail(Status::kNoShared, update_width_ != 0 ? 0 : shared_came_, all);
  }
  const bool masked = request.masked != 0;
  if (masked && !(masks_.ready() && masks_.peers() != 0)) {
    return reply.Fail(kHasMasks ? Status::kBadPeer : Status::kNoMasks, 0, Masks::kMostPeers);
  }
  const Refusal refusal = CheckRule(settings, masked);
  if (refusal.status != Status::kOk) return reply.Fail(refusal);
  SecretKey key = {};
  if (settings.noise > 0.0f && !DrawKey(settings_.seed, &key)) {
    return reply.Fail(Status::kNoEntropy);
  }
  StartWork();
  const UpdateFacts facts = tinymia::MakeUpdate(trainer_.parameters(), all, settings, key, shared_);
  const uint32_t fit = FirstTooLarge(shared_, all, request.width);
  if (fit != all) {
    // It stays here: what was drawn for it is not drawn again.
    shared_came_ = 0;
    trainer_.ForgetStart();  // where it was, the update is
    return reply.Fail(Status::kUpdateTooLarge, fit, request.width);
  }
  if (masked) masks_.Hide(shared_, all);
  ++updates_;
  update_width_ = request.width;
  UpdateResponse response = {};
  response.count = all;
  if (!kRelease) {
    response.norm = Canonical(facts.norm);
    response.clipped = facts.clipped ? 1 : 0;
    response.ticks = watch_.Look();
  }
  return reply.Ok(response);
}

uint32_t Session::Give(GiveRequest request, Reply reply) const {
  const uint32_t all = trainer_.parameter_count();
  if (update_width_ == 0) return reply.Fail(Status::kNoShared, shared_came_, all);
  const uint32_t bytes = request.count * static_cast<uint32_t>(update_width_);
  if (request.first > all || request.count > all - request.first ||
      bytes > Reply::Room(GiveResponse::kFixed)) {
    return reply.Fail(Status::kBadRequest, request.first + request.count, all);
  }
  GiveResponse response = {};
  response.values_bytes = bytes;
  WriteUpdate(shared_ + request.first, request.count, update_width_,
              reply.Open(GiveResponse::kFixed));
  return reply.Ok(response);
}

uint32_t Session::Mask(MaskRequest request, Reply reply) {
  if (!kHasMasks) return reply.Fail(Status::kNoMasks);
  if (request.threshold == 0) return reply.Fail(Status::kBadPeer, 0, Masks::kMostPeers);
  if (shared_came_ != trainer_.parameter_count() || update_width_ != 0) {
    return reply.Fail(Status::kNoShared, shared_came_, trainer_.parameter_count());
  }
  SecretKey key = {};
  if (!DrawKey(settings_.seed, &key)) return reply.Fail(Status::kNoEntropy);
  uint8_t secret[Masks::kKey];
  memcpy(secret, key.word, sizeof secret);
  MaskResponse response = {};
  StartWork();
  masks_.Begin(secret, request.round, request.number, request.threshold,
               reinterpret_cast<uint8_t*>(response.mask_key),
               reinterpret_cast<uint8_t*>(response.share_key));
  if (!kRelease) response.ticks = watch_.Look();
  return reply.Ok(response);
}

uint32_t Session::Peer(PeerRequest request, Reply reply) {
  if (!kHasMasks) return reply.Fail(Status::kNoMasks);
  PeerResponse response = {};
  StartWork();
  if (!masks_.ready() || update_width_ != 0 ||
      !masks_.Add(request.number, reinterpret_cast<const uint8_t*>(request.mask_key),
                  reinterpret_cast<const uint8_t*>(request.share_key),
                  reinterpret_cast<uint8_t*>(response.sealed))) {
    return reply.Fail(Status::kBadPeer, request.number, Masks::kMostPeers);
  }
  if (!kRelease) response.ticks = watch_.Look();
  return reply.Ok(response);
}

uint32_t Session::Reveal(RevealRequest request, Reply reply) {
  if (!kHasMasks) return reply.Fail(Status::kNoMasks);
  RevealResponse response = {};
  const auto refused = masks_.ready()
                           ? masks_.Reveal(request.peer, request.lost != 0,
                                           reinterpret_cast<const uint8_t*>(request.sealed),
                                           reinterpret_cast<uint8_t*>(response.share))
                           : Masks::Refused::kTooSoon;
  if (refused == Masks::Refused::kNoPeer) {
    return reply.Fail(Status::kBadPeer, request.peer, masks_.peers());
  }
  if (refused != Masks::Refused::kNo) {
    return reply.Fail(Status::kBadShare, request.peer, static_cast<uint32_t>(refused));
  }
  return reply.Ok(response);
}

}  // namespace tinymia
