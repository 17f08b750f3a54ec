/*
 * Port 21: a fixed amount of work. The line `STEPS ROUNDS` is answered with `done DIGEST` when STEPS
 * steps are done; a step is ROUNDS numbers of the generator and, unless ROUNDS is all there is to do
 * (`STEPS ROUNDS cpu`), one write to the next page of a span of 16 MiB. How long it takes is for the
 * other side to say: this machine's clock stands still with it.
 */
#include "generator.h"
#include "net.h"
#include "services.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SPAN_PAGES 4096u
#define PAGE_WORDS 512u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t *span; /* every page of it was written once before any work */
static uint64_t next;

/* With the lock held. */
static bool span_make(void)
{
    if (span)
        return true;
    span = aligned_alloc(4096, (size_t)SPAN_PAGES * PAGE_WORDS * sizeof *span);
    if (span)
        memset(span, 1, (size_t)SPAN_PAGES * PAGE_WORDS * sizeof *span);
    return span != NULL;
}

static uint64_t work_do(uint64_t steps, uint64_t rounds, bool writes)
{
    uint64_t state = generator_start(steps), number = 0;

    for (; steps > 0; steps--) {
        for (uint64_t i = 0; i < rounds; i++)
            number = generator_next(&state);
        if (writes) {
            *(volatile uint64_t *)&span[next * PAGE_WORDS + number % PAGE_WORDS] = number;
            next = (next + 1) % SPAN_PAGES;
        }
    }
    return number;
}

static void work_serve(int fd, void *unused)
{
    struct reader reader = {.fd = fd};
    char *line;

    (void)unused;
    net_no_delay(fd);
    while ((line = reader_line(&reader)) != NULL) {
        uint64_t steps, rounds, number = 0;
        char *rest = NULL;
        const char *first = strtok_r(line, " ", &rest);
        const char *second = strtok_r(NULL, " ", &rest);
        const char *third = strtok_r(NULL, " ", &rest);
        bool good = first && second && parse_number(first, 1, UINT64_MAX, &steps) &&
                    parse_number(second, 0, UINT64_MAX, &rounds) &&
                    (!third || strcmp(third, "cpu") == 0);
        if (good) {
            pthread_mutex_lock(&lock);
            good = span_make();
            if (good)
                number = work_do(steps, rounds, !third);
            pthread_mutex_unlock(&lock);
        }
        if (!net_print(fd, good ? "done %016" PRIx64 "\n" : "error\n", number) || !good)
            return;
    }
}

void work_init(unsigned port_base)
{
    net_serve(port_base + 21, work_serve, NULL);
}
