// Randomness of an answer, a function of a secret key and the question: who asks twice gets the
// same noise, so that repetition averages nothing away.
#pragma once

#include <stdint.h>

#include "../train/noise.h"

namespace tinymia {

// A key for all that is drawn for one question. It is the cascade of ChaCha20 blocks (Bellare,
// Canetti and Krawczyk, FOCS 1996: pseudorandom where all messages are equally long) over the
// epoch, the number of bytes, the training (which of those under the same key) and the bytes
// themselves, 16 at a time, the first eight words of each block being the next one's key.
SecretKey QueryKey(const SecretKey& device, uint32_t epoch, const int8_t* features, uint32_t bytes,
                   uint32_t training = 0);

// Uses of a question's key, beside those of a training's (train/noise.h).
constexpr SecretUse kAnswerNoise = static_cast<SecretUse>(16);
constexpr SecretUse kAnswerChance = static_cast<SecretUse>(17);
constexpr SecretUse kAnswerSpare = static_cast<SecretUse>(18);
constexpr SecretUse kAnswerWatch = static_cast<SecretUse>(19);

// The discrete Laplace law on the integers, P(x) ~ exp(-|x| / 32), as the difference of two
// geometric numbers. A geometric number's binary digits are independent, so each is one comparison
// with a constant; the time taken tells no digit (one comparison in 65,536 takes longer, whichever
// way it ends). Digits from 2^11 on, of chance 2e-28 together, are left out; the constants are
// exact to 4e-6 of themselves.
constexpr uint32_t kLaplaceScale = 32;
int32_t DiscreteLaplace32(SecretStream* stream);

}  // namespace tinymia
