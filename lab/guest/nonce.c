/*
 * The kernel's random generator is part of the guest's memory: a guest resumed from a checkpoint
 * would draw the same numbers again, and an execution that did not survive could not be told from
 * the one that did. So each nonce is mixed with the time stamp counter, and with the CPU's
 * generator where there is one: neither is restored from memory.
 */
#include "nonce.h"
#include <string.h>
#include <sys/random.h>
#include <time.h>
#ifdef __x86_64__
#include <cpuid.h>
#include <x86intrin.h>
#endif

#ifndef GRND_INSECURE
#define GRND_INSECURE 4
#endif

/* The finaliser of splitmix64: every input bit reaches every output bit. */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#ifdef __x86_64__
static uint64_t ticks(void)
{
    return __rdtsc();
}

static uint64_t cpu_random(void)
{
    static int known = -1;
    unsigned eax, ebx, ecx, edx;
    unsigned long long value = 0;
    unsigned char good = 0;

    if (known < 0)
        known = __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_RDRND);
    for (int i = 0; known && !good && i < 8; i++)
        __asm__ volatile("rdrand %0; setc %1" : "=r"(value), "=qm"(good) : : "cc");
    return good ? value : 0;
}
#else
static uint64_t ticks(void)
{
    return clock_ns();
}

static uint64_t cpu_random(void)
{
    return 0;
}
#endif

void nonce_draw(uint8_t nonce[NONCE_BYTES])
{
    uint64_t halves[2] = {0, 0};

    if (getrandom(halves, sizeof halves, GRND_INSECURE) != (ssize_t)sizeof halves)
        halves[1] = clock_ns();
    halves[0] ^= mix(ticks()) ^ cpu_random();
    halves[1] ^= mix(ticks() ^ clock_ns()) ^ cpu_random();
    memcpy(nonce, halves, sizeof halves);
}

uint64_t nonce_u64(void)
{
    uint8_t nonce[NONCE_BYTES];
    uint64_t value;

    nonce_draw(nonce);
    memcpy(&value, nonce, sizeof value);
    return value;
}
