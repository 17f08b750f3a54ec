/*
 * What this execution has said: the nonce of each numbered output, and the chain of them all. A
 * ring of the newest 2^18. chain(n) = FNV-1a-64 of chain(n-1), n and nonce(n), big-endian, 32
 * bytes; chain(0) is the run id. record.ts is the twin.
 */
#ifndef HISTORY_H
#define HISTORY_H
#include "nonce.h"
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define HISTORY_ENTRIES (1u << 18)

struct entry {
    uint8_t nonce[NONCE_BYTES];
    uint64_t chain;
};

/*
 * Entry n lies at n modulo HISTORY_ENTRIES; entries last-HISTORY_ENTRIES+1 to last are there, but
 * none before 1.
 */
struct history {
    pthread_mutex_t lock;
    uint64_t run;  /* random at program start */
    uint64_t last; /* 0: nothing said yet */
    struct entry *entries;
};

void put_u64(uint8_t *at, uint64_t value);

/* Allocates; memory is used only as entries are added. Ends the program when there is none. */
void history_init(struct history *history);

/* Draws a nonce and appends it as number last + 1. The caller says it outside only afterwards. */
struct entry history_add(struct history *history);

/*
 * Answers the control command `history FROM TO` (workload.c describes it). False when the
 * connection is gone, or must be closed because a service that runs on has overwritten what was
 * promised.
 */
bool history_send(struct history *history, int fd, uint64_t from, uint64_t to);
#endif
