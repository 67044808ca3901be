// X25519 by Emil Lenngren, without and with the FPU's registers.

#include "start.h"

void curve25519_scalarmult(uint8_t* out, const uint8_t* secret, const uint8_t* point);
void fpu_curve25519_scalarmult(uint8_t* out, const uint8_t* secret, const uint8_t* point);

static uint8_t out[32], secret[32], point[32];

int main(void) {
  for (uint32_t i = 0; i < sizeof secret; ++i) secret[i] = (uint8_t)(i * 57 + 3);
  point[0] = 9;
  MEASURE(curve25519_scalarmult(out, secret, point));
  MEASURE(fpu_curve25519_scalarmult(out, secret, point));
  return 0;
}
