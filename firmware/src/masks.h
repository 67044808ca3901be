// Masks of updates (Bonawitz et al., CCS 2017, with the peers of SecAgg+, Bell et al., CCS 2020):
// X25519 key agreement, ChaCha20 for masks and seals, Shamir's secret sharing over GF(256). A build
// without -DTINYMIA_SECURE has none; the primitives are Monocypher's (src/monocypher.cc).
#pragma once

#include <stdint.h>

namespace tinymia {

#ifdef TINYMIA_SECURE
constexpr bool kHasMasks = true;
#else
constexpr bool kHasMasks = false;
#endif

class Masks {
 public:
  static constexpr uint32_t kKey = 32;
  static constexpr uint32_t kMostPeers = 16;
  static constexpr uint32_t kSealed = 80;  // both shares and a tag of 16 bytes

  // Everything for one update is derived from `secret`.
  void Begin(const uint8_t* secret, uint32_t round, uint16_t number, uint8_t threshold,
             uint8_t* mask_key, uint8_t* share_key);
  void Forget() { ready_ = false; }
  bool ready() const { return ready_; }
  uint32_t peers() const { return peers_; }

  bool Add(uint16_t number, const uint8_t* mask_key, const uint8_t* share_key, uint8_t* sealed);
  // Adds this device's own mask and, for each peer, the mask shared with it (subtracts it where the
  // peer's number is the lower one) to the bits of `update`, modulo 2^32.
  void Hide(float* update, uint32_t count);

  enum class Refused : uint8_t { kNo = 0, kSeal, kOtherKind, kTooSoon, kNoPeer };
  Refused Reveal(uint32_t peer, bool lost, const uint8_t* sealed, uint8_t* share);

 private:
  struct Peer {
    uint8_t mask[kKey];
    uint8_t open[kKey];  // key of what it seals for this device
    uint16_t number;
    uint8_t told;  // bit 0: a share of its own mask, bit 1: of its key
  };

  void Derive(const uint8_t* key, const char* use, uint16_t from, uint16_t to, uint8_t* out) const;

  uint8_t mask_secret_[kKey];
  uint8_t share_secret_[kKey];
  uint8_t own_[kKey];     // key of the device's own mask
  uint8_t shares_[kKey];  // of the coefficients
  Peer peer_[kHasMasks ? kMostPeers : 1];
  uint32_t round_ = 0;
  uint32_t peers_ = 0;
  uint16_t number_ = 0;
  uint8_t threshold_ = 1;
  bool ready_ = false;
  bool hidden_ = false;
};

}  // namespace tinymia
