/*
 * Dirties memory at a steady rate, page after page round a span. A page holds the generator's
 * numbers from a random seed, and the seed in front, so that `verify` finds every page that a
 * checkpoint tore or lost.
 */
#include "generator.h"
#include "net.h"
#include "nonce.h"
#include "pacer.h"
#include "services.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE_WORDS 512u
#define PAGE_BYTES 4096u
#define RATE_MAX 1000000u
#define SPAN_MIB_MAX 65536u

static struct {
    pthread_mutex_t lock;
    pthread_cond_t started;
    bool running;
    struct pacer pacer;
    uint64_t *span; /* page 0's first word; a page whose first word is 0 was never written */
    uint64_t pages, next, written, torn;
} dirty = {.lock = PTHREAD_MUTEX_INITIALIZER, .started = PTHREAD_COND_INITIALIZER};

static void fill_page(uint64_t *page, uint64_t seed)
{
    uint64_t state = generator_start(seed);

    page[0] = generator_start(seed);
    for (unsigned i = 1; i < PAGE_WORDS; i++)
        page[i] = generator_next(&state);
}

static bool page_holds(const uint64_t *page)
{
    uint64_t state = page[0];

    for (unsigned i = 1; i < PAGE_WORDS; i++) {
        if (page[i] != (state ? generator_next(&state) : 0))
            return false;
    }
    return true;
}

static void *dirty_run(void *unused)
{
    uint64_t seed = nonce_u64();

    (void)unused;
    for (;;) {
        pthread_mutex_lock(&dirty.lock);
        while (!dirty.running)
            pthread_cond_wait(&dirty.started, &dirty.lock);
        struct pacer pacer = dirty.pacer;
        pthread_mutex_unlock(&dirty.lock);

        uint64_t due = pacer_wait(&pacer);

        pthread_mutex_lock(&dirty.lock);
        if (dirty.running && dirty.pacer.rate == pacer.rate) {
            dirty.pacer = pacer;
            for (; due > 0; due--) {
                fill_page(dirty.span + dirty.next * PAGE_WORDS, ++seed);
                dirty.next = (dirty.next + 1) % dirty.pages;
                dirty.written++;
            }
        }
        pthread_mutex_unlock(&dirty.lock);
    }
    return NULL;
}

/* With the lock held. */
static void dirty_verify(void)
{
    dirty.torn = 0;
    for (uint64_t i = 0; i < dirty.pages; i++)
        dirty.torn += !page_holds(dirty.span + i * PAGE_WORDS);
}

/* With the lock held. */
static const char *dirty_start(uint64_t rate, uint64_t span_mib)
{
    uint64_t pages = span_mib << 8;

    if (pages != dirty.pages) {
        void *span = mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (span == MAP_FAILED)
            return "there is not so much memory";
        if (dirty.span)
            munmap(dirty.span, dirty.pages * PAGE_BYTES);
        dirty.span = span;
        dirty.pages = pages;
        dirty.next = 0;
    }
    dirty.pacer = (struct pacer){.rate = rate};
    dirty.running = true;
    pthread_cond_signal(&dirty.started);
    return NULL;
}

static const char *dirty_command(int words, char **word)
{
    const char *wrong = NULL;
    uint64_t rate, span_mib;

    pthread_mutex_lock(&dirty.lock);
    if (words == 1 && strcmp(word[0], "stop") == 0)
        dirty.running = false;
    else if (words == 1 && strcmp(word[0], "verify") == 0)
        dirty_verify();
    else if (words != 3 || strcmp(word[0], "start") != 0)
        wrong = "expected start PAGES_PER_S SPAN_MIB, stop, verify or status";
    else if (!parse_number(word[1], 1, RATE_MAX, &rate) ||
             !parse_number(word[2], 1, SPAN_MIB_MAX, &span_mib))
        wrong = "expected a rate from 1 to 1000000 pages per second and a span from 1 to 65536 MiB";
    else
        wrong = dirty_start(rate, span_mib);
    pthread_mutex_unlock(&dirty.lock);
    return wrong;
}

static void dirty_status(char *text, size_t size)
{
    pthread_mutex_lock(&dirty.lock);
    snprintf(text, size,
             "{\"running\":%s,\"rate\":%" PRIu64 ",\"pages\":%" PRIu64 ",\"written\":%" PRIu64
             ",\"torn\":%" PRIu64 "}",
             dirty.running ? "true" : "false", dirty.pacer.rate, dirty.pages, dirty.written,
             dirty.torn);
    pthread_mutex_unlock(&dirty.lock);
}

struct service dirty_service = {
    .name = "dirty", .port = 1003, .command = dirty_command, .status = dirty_status};

void dirty_init(void)
{
    thread_start(dirty_run, NULL);
}
