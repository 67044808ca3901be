// Settings, order of examples, noise and augmentation of the training core, for tests.
#include <stdint.h>

#include "train/augment.h"
#include "train/batches.h"
#include "train/noise.h"
#include "train/settings.h"

using tinymia::SecretKey;
using tinymia::SecretStream;
using tinymia::SecretUse;
using tinymia::TrainSettings;

extern "C" uint32_t tinymia_settings_size() { return sizeof(TrainSettings); }

extern "C" void tinymia_default_settings(TrainSettings* settings) { *settings = TrainSettings(); }

extern "C" uint32_t tinymia_check_settings(const TrainSettings* settings) {
  return static_cast<uint32_t>(CheckSettings(*settings));
}

extern "C" float tinymia_rate_factor(const TrainSettings* settings, uint32_t epoch) {
  return RateFactor(*settings, epoch);
}

extern "C" void tinymia_key(uint64_t seed, SecretKey* key) { *key = tinymia::KeyFromSeed(seed); }

extern "C" void tinymia_words(const SecretKey* key, uint32_t use, uint32_t step, uint32_t n,
                              uint32_t* words) {
  SecretStream stream(*key, static_cast<SecretUse>(use), step);
  for (uint32_t i = 0; i < n; ++i) words[i] = stream.Next();
}

// One epoch: held-out slots, and step by step its examples with the number of their step. `room` is
// that of the arrays. Returns the number of examples.
extern "C" uint32_t tinymia_epoch(const TrainSettings* settings, const SecretKey* key,
                                  const uint8_t* members, uint32_t slots, uint32_t epoch,
                                  uint16_t* order, uint32_t room, uint16_t* held,
                                  uint32_t* held_count, tinymia::Example* examples,
                                  uint32_t* steps) {
  tinymia::Batches batches;
  batches.Begin(settings, *key, members, slots, order);
  batches.StartEpoch(epoch);
  *held_count = batches.held_out();
  for (uint32_t i = 0; i < batches.held_out(); ++i) held[i] = batches.HeldOutSlot(i);
  uint32_t n = 0;
  for (uint32_t step = 0; step < batches.steps(); ++step) {
    const uint32_t count = batches.StartStep(step);
    for (uint32_t i = 0; i < count && n < room; ++i, ++n) {
      examples[n] = batches.Get(i);
      steps[n] = step;
    }
  }
  return n;
}

extern "C" void tinymia_augment(const TrainSettings* settings, const tinymia::WindowShape* shape,
                                uint32_t epoch, uint32_t position, const int8_t* in, int8_t* out) {
  Augment(*settings, *shape, epoch, position, in, out);
}
