#include "history.h"
#include "fnv.h"
#include "net.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 512u

void put_u64(uint8_t *at, uint64_t value)
{
    for (int i = 7; i >= 0; i--, value >>= 8)
        at[i] = (uint8_t)value;
}

void history_init(struct history *history)
{
    pthread_mutex_init(&history->lock, NULL);
    history->run = nonce_u64();
    history->last = 0;
    history->entries = calloc(HISTORY_ENTRIES, sizeof *history->entries);
    if (!history->entries) {
        perror("workload: calloc");
        exit(1);
    }
    history->entries[0].chain = history->run;
}

struct entry history_add(struct history *history)
{
    uint8_t link[32];
    struct entry entry;

    nonce_draw(entry.nonce);
    pthread_mutex_lock(&history->lock);
    put_u64(link, history->entries[history->last % HISTORY_ENTRIES].chain);
    history->last++;
    put_u64(link + 8, history->last);
    memcpy(link + 16, entry.nonce, NONCE_BYTES);
    entry.chain = fnv_add(FNV_START, link, sizeof link);
    history->entries[history->last % HISTORY_ENTRIES] = entry;
    pthread_mutex_unlock(&history->lock);
    return entry;
}

bool history_send(struct history *history, int fd, uint64_t from, uint64_t to)
{
    uint8_t batch[BATCH * NONCE_BYTES];

    pthread_mutex_lock(&history->lock);
    /* Entry `from - 1` must be there as well, for its chain. */
    uint64_t oldest = history->last < HISTORY_ENTRIES ? 1 : history->last - HISTORY_ENTRIES + 2;
    if (from < oldest)
        from = oldest;
    if (to > history->last)
        to = history->last;
    uint64_t count = to >= from ? to - from + 1 : 0;
    uint64_t chain = history->entries[(from - 1) % HISTORY_ENTRIES].chain;
    uint64_t last = history->last;
    pthread_mutex_unlock(&history->lock);

    if (count == 0)
        chain = 0;
    if (!net_print(fd,
                   "{\"run\":\"%016" PRIx64 "\",\"first\":%" PRIu64 ",\"count\":%" PRIu64
                   ",\"last\":%" PRIu64 ",\"chain\":\"%016" PRIx64 "\"}\n",
                   history->run, from, count, last, chain))
        return false;
    while (count > 0) {
        uint64_t some = count < BATCH ? count : BATCH;
        pthread_mutex_lock(&history->lock);
        bool overwritten = history->last >= from + HISTORY_ENTRIES;
        for (uint64_t i = 0; i < some; i++)
            memcpy(batch + i * NONCE_BYTES,
                   history->entries[(from + i) % HISTORY_ENTRIES].nonce, NONCE_BYTES);
        pthread_mutex_unlock(&history->lock);
        if (overwritten || !net_send(fd, batch, some * NONCE_BYTES))
            return false;
        from += some;
        count -= some;
    }
    return true;
}
