// AES by Ko Stoffelen and Peter Schwabe: measured on an STM32F407 at 24 MHz, no wait states.

#include <string.h>

#include "start.h"

typedef struct Counter {
  uint32_t count;
  uint8_t nonce[12];
  uint8_t keys[2 * 11 * 16];
} Counter;

void AES_128_keyschedule(const uint8_t* key, uint8_t* keys);
void AES_128_encrypt(const uint8_t* keys, const uint8_t* in, uint8_t* out);
void ctr_AES_128_encrypt_ctr(const Counter* counter, const uint8_t* in, uint8_t* out,
                             uint32_t size);
void bs_AES_128_keyschedule(const uint8_t* key, uint8_t* keys);
void bs_AES_128_encrypt_ctr(const Counter* counter, const uint8_t* in, uint8_t* out, uint32_t size);

static uint8_t in[4096], out[4096], key[16], keys[11 * 16];
static Counter counter, bitsliced;

int main(void) {
  for (uint32_t i = 0; i < sizeof in; ++i) in[i] = (uint8_t)(i * 73 + (i >> 5));
  for (uint32_t i = 0; i < sizeof key; ++i) key[i] = (uint8_t)(i * 31 + 7);
  memcpy(keys, key, sizeof key);
  MEASURE(AES_128_keyschedule(key, keys + 16));
  MEASURE(AES_128_encrypt(keys, in, out));
  memcpy(counter.keys, keys, sizeof keys);
  MEASURE(ctr_AES_128_encrypt_ctr(&counter, in, out, sizeof in));
  MEASURE(bs_AES_128_keyschedule(key, bitsliced.keys));
  MEASURE(bs_AES_128_encrypt_ctr(&bitsliced, in, out, sizeof in));
  return 0;
}
