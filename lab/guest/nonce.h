/* 128-bit nonces that two executions of one saved state do not share. */
#ifndef NONCE_H
#define NONCE_H
#include <stdint.h>

#define NONCE_BYTES 16

/* Fills `nonce`; never blocks, also not before the kernel's generator is seeded. */
void nonce_draw(uint8_t nonce[NONCE_BYTES]);

/* A random 64-bit number from the same source. */
uint64_t nonce_u64(void);
#endif
