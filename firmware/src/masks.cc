#include "masks.h"

#include <string.h>

#ifdef TINYMIA_SECURE
extern "C" {
#include <monocypher.h>
}
#endif

namespace tinymia {

#ifdef TINYMIA_SECURE
namespace {

constexpr uint32_t kBlock = 64;     // bytes of ChaCha20
constexpr uint8_t kNonce[12] = {};  // each key is used once

// The product in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1; its time does not depend on the factors.
uint8_t Multiply(uint8_t a, uint8_t b) {
  uint32_t product = 0;
  uint32_t x = a;
  for (uint32_t bit = 0; bit < 8; ++bit) {
    product ^= x & (0u - (b >> bit & 1u));
    x = x << 1 ^ (0x11Bu & (0u - (x >> 7)));
  }
  return static_cast<uint8_t>(product);
}

// Each byte's polynomial at x: the secret is its value at 0, coefficients are words of a stream.
void ShareOf(const uint8_t* secret, const uint8_t* key, uint32_t first, uint8_t threshold,
             uint8_t x, uint8_t* share) {
  uint8_t block[kBlock];
  memset(share, 0, Masks::kKey);
  for (uint32_t power = threshold; power-- > 0;) {
    const uint8_t* coefficient = secret;
    if (power != 0) {
      crypto_chacha20_ietf(block, nullptr, kBlock, key, kNonce, first + power);
      coefficient = block;
    }
    for (uint32_t i = 0; i < Masks::kKey; ++i) {
      share[i] = static_cast<uint8_t>(Multiply(share[i], x) ^ coefficient[i]);
    }
  }
  crypto_wipe(block, sizeof block);
}

// Adds the words of a key's stream, little endian, or subtracts them.
void AddStream(const uint8_t* key, bool subtract, float* update, uint32_t count) {
  uint8_t block[kBlock];
  for (uint32_t at = 0; at < count; at += kBlock / 4) {
    crypto_chacha20_ietf(block, nullptr, kBlock, key, kNonce, at / (kBlock / 4));
    const uint32_t n = count - at < kBlock / 4 ? count - at : kBlock / 4;
    for (uint32_t i = 0; i < n; ++i) {
      uint32_t word;
      uint32_t value;
      memcpy(&word, block + 4 * i, sizeof word);
      memcpy(&value, update + at + i, sizeof value);
      value = subtract ? value - word : value + word;
      memcpy(update + at + i, &value, sizeof value);
    }
  }
  crypto_wipe(block, sizeof block);
}

}  // namespace

void Masks::Derive(const uint8_t* key, const char* use, uint16_t from, uint16_t to,
                   uint8_t* out) const {
  // use, zero padded, round, both numbers
  uint8_t message[16] = {};
  for (uint32_t i = 0; use[i] != 0; ++i) message[i] = static_cast<uint8_t>(use[i]);
  memcpy(message + 8, &round_, 4);
  memcpy(message + 12, &from, 2);
  memcpy(message + 14, &to, 2);
  crypto_blake2b_keyed(out, kKey, key, kKey, message, sizeof message);
}

void Masks::Begin(const uint8_t* secret, uint32_t round, uint16_t number, uint8_t threshold,
                  uint8_t* mask_key, uint8_t* share_key) {
  round_ = round;
  number_ = number;
  threshold_ = threshold;
  peers_ = 0;
  Derive(secret, "maskkey", number, number, mask_secret_);
  Derive(secret, "seal", number, number, share_secret_);
  Derive(secret, "own", number, number, own_);
  Derive(secret, "shares", number, number, shares_);
  crypto_x25519_public_key(mask_key, mask_secret_);
  crypto_x25519_public_key(share_key, share_secret_);
  ready_ = true;
  hidden_ = false;
}

bool Masks::Add(uint16_t number, const uint8_t* mask_key, const uint8_t* share_key,
                uint8_t* sealed) {
  if (peers_ == kMostPeers || number == number_ || hidden_) return false;
  for (uint32_t i = 0; i < peers_; ++i) {
    if (peer_[i].number == number) return false;
  }
  Peer& peer = peer_[peers_];
  uint8_t raw[kKey];
  uint8_t seal[kKey];
  uint8_t plain[2 * kKey];
  peer.number = number;
  peer.told = 0;
  crypto_x25519(raw, mask_secret_, mask_key);
  Derive(raw, "mask", number < number_ ? number : number_, number < number_ ? number_ : number,
         peer.mask);
  crypto_x25519(raw, share_secret_, share_key);
  Derive(raw, "sealing", number, number_, peer.open);
  Derive(raw, "sealing", number_, number, seal);
  const auto x = static_cast<uint8_t>(++peers_);
  ShareOf(mask_secret_, shares_, 0, threshold_, x, plain);
  ShareOf(own_, shares_, 256, threshold_, x, plain + kKey);
  crypto_aead_ctx context;
  crypto_aead_init_ietf(&context, seal, kNonce);
  crypto_aead_write(&context, sealed, sealed + 2 * kKey, nullptr, 0, plain, sizeof plain);
  crypto_wipe(&context, sizeof context);
  crypto_wipe(raw, sizeof raw);
  crypto_wipe(seal, sizeof seal);
  crypto_wipe(plain, sizeof plain);
  return true;
}

void Masks::Hide(float* update, uint32_t count) {
  AddStream(own_, false, update, count);
  for (uint32_t i = 0; i < peers_; ++i) {
    AddStream(peer_[i].mask, peer_[i].number < number_, update, count);
  }
  hidden_ = true;
}

Masks::Refused Masks::Reveal(uint32_t peer, bool lost, const uint8_t* sealed, uint8_t* share) {
  if (!hidden_) return Refused::kTooSoon;
  if (peer >= peers_) return Refused::kNoPeer;
  Peer& from = peer_[peer];
  const uint8_t kind = lost ? 2 : 1;
  if ((from.told & ~kind) != 0) return Refused::kOtherKind;
  uint8_t plain[2 * kKey];
  crypto_aead_ctx context;
  crypto_aead_init_ietf(&context, from.open, kNonce);
  const int wrong =
      crypto_aead_read(&context, plain, sealed + 2 * kKey, nullptr, 0, sealed, sizeof plain);
  crypto_wipe(&context, sizeof context);
  if (wrong != 0) return Refused::kSeal;
  from.told = static_cast<uint8_t>(from.told | kind);
  memcpy(share, plain + (lost ? 0 : kKey), kKey);
  crypto_wipe(plain, sizeof plain);
  return Refused::kNo;
}

#else  // nothing of it; the session refuses before it asks

void Masks::Begin(const uint8_t*, uint32_t, uint16_t, uint8_t, uint8_t*, uint8_t*) {}
bool Masks::Add(uint16_t, const uint8_t*, const uint8_t*, uint8_t*) { return false; }
void Masks::Hide(float*, uint32_t) {}
Masks::Refused Masks::Reveal(uint32_t, bool, const uint8_t*, uint8_t*) { return Refused::kTooSoon; }

#endif

}  // namespace tinymia
