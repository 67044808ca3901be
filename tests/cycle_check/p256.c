// P-256 by Emil Lenngren: measured on an nRF52840 with its instruction cache.

#include "p256-cortex-m4.h"
#include "start.h"

static uint32_t x[8], y[8], secret[8], once[8], r[8], s[8];
static uint8_t shared[32], hash[32];
volatile int done;

int main(void) {
  for (uint32_t i = 0; i < 8; ++i) {
    secret[i] = 0x12345677u * (i + 3);
    once[i] = 0x9abcdef1u * (i + 5);
  }
  secret[7] &= 0x7fffffff;
  once[7] &= 0x7fffffff;
  for (uint32_t i = 0; i < sizeof hash; ++i) hash[i] = (uint8_t)(i * 7 + 1);
  MEASURE(done = p256_keygen(x, y, secret));
  MEASURE(done = p256_sign(r, s, hash, sizeof hash, secret, once));
  MEASURE(done = p256_ecdh_calc_shared_secret(shared, secret, x, y));
  return 0;
}
