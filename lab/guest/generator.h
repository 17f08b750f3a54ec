/* xorshift64*: the bytes of bulk transfers and of dirtied pages. generator.ts is its twin. */
#ifndef GENERATOR_H
#define GENERATOR_H
#include <stdint.h>

/* A state is never 0; seed 0 stands for another fixed one. */
static inline uint64_t generator_start(uint64_t seed)
{
    return seed ? seed : 0x9e3779b97f4a7c15u;
}

static inline uint64_t generator_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1du;
}
#endif
