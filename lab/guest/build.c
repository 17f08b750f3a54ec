/*
 * Does to memory what compiling does: for each unit an arena is taken from the kernel, a source of
 * words is written into it, then a tree of nodes that point to each other, then an object of
 * instructions, padding and tables goes into a file in memory, and the arena is given back. Units are
 * new each time; a file is written over when its turn comes again.
 */
#define _GNU_SOURCE
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
#include <unistd.h>

#define SOURCE_BYTES (96u << 10)
#define TREE_BYTES (160u << 10)
#define OBJECT_BYTES (64u << 10)
#define ARENA_BYTES (SOURCE_BYTES + TREE_BYTES + OBJECT_BYTES)
#define FILES 64u
#define RATE_MAX 10000u

static struct {
    pthread_mutex_t lock;
    pthread_cond_t started;
    bool running;
    struct pacer pacer;
    uint64_t units, failed;
} build = {.lock = PTHREAD_MUTEX_INITIALIZER, .started = PTHREAD_COND_INITIALIZER};

/* What a tree is made of. */
struct node {
    struct node *parent, *next;
    const char *text;
    uint32_t kind, line;
    uint64_t value, spare;
};

static void write_source(char *text, uint64_t *state)
{
    static const char *const words[] = {
        "static ", "struct ", "int ",      "const ", "return ", "if (", ") {\n\t", "}\n",
        "->",      "= ",      "unsigned ", "ret",    "dev",     "page", "lock",    ";\n\t",
    };
    size_t at = 0;

    while (at + 32 < SOURCE_BYTES) {
        uint64_t number = generator_next(state) >> 32;
        const char *word = words[number % 16];
        size_t length = strlen(word);
        memcpy(text + at, word, length);
        at += length;
        if (number % 5 == 0)
            at += (size_t)snprintf(text + at, 16, "%u", (unsigned)(number >> 16));
    }
    memset(text + at, '\n', SOURCE_BYTES - at);
}

static void grow_tree(struct node *nodes, const char *text, uint64_t *state)
{
    size_t count = TREE_BYTES / sizeof *nodes;

    for (size_t i = 0; i < count; i++) {
        uint64_t number = generator_next(state) >> 32;
        nodes[i] = (struct node){
            .parent = &nodes[i / 3],
            .next = i + 1 < count ? &nodes[i + 1] : NULL,
            .text = text + number % SOURCE_BYTES,
            .kind = (uint32_t)(number % 97),
            .line = (uint32_t)(i / 8),
            .value = number % 4 ? number % 256 : 0,
        };
    }
}

static void emit_object(unsigned char *object, uint64_t *state)
{
    static const unsigned char moves[] = {0x48, 0x89, 0x8b, 0xe8, 0x0f, 0x85, 0xc3, 0x55};
    size_t code = OBJECT_BYTES * 5 / 8;

    for (size_t at = 0; at < code; at += 4) {
        uint64_t number = generator_next(state) >> 32;
        object[at] = moves[number % 8];
        object[at + 1] = moves[number >> 3 & 7];
        object[at + 2] = (unsigned char)(number >> 8 & 0x3f);
        object[at + 3] = number % 16 ? 0 : (unsigned char)(number >> 16);
    }
    /* Relocations: an offset that grows, a kind, an addend. */
    for (size_t at = code; at < OBJECT_BYTES; at += 24) {
        uint64_t entry[3] = {at - code, 0x200000004u, generator_next(state) >> 52};
        memcpy(object + at, entry, OBJECT_BYTES - at < 24 ? OBJECT_BYTES - at : 24);
    }
}

static bool save(const unsigned char *object, uint64_t unit)
{
    static int files[FILES]; /* descriptor + 1 of files that nobody else can name */
    int *file = &files[unit % FILES];

    if (*file == 0)
        *file = memfd_create("unit", MFD_CLOEXEC) + 1;
    return *file > 0 && pwrite(*file - 1, object, OBJECT_BYTES, 0) == OBJECT_BYTES;
}

static bool compile(uint64_t unit, uint64_t *state)
{
    char *arena = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (arena == MAP_FAILED)
        return false;
    write_source(arena, state);
    grow_tree((struct node *)(arena + SOURCE_BYTES), arena, state);
    emit_object((unsigned char *)arena + SOURCE_BYTES + TREE_BYTES, state);
    bool good = save((unsigned char *)arena + SOURCE_BYTES + TREE_BYTES, unit);
    munmap(arena, ARENA_BYTES);
    return good;
}

static void *build_run(void *unused)
{
    uint64_t state = generator_start(nonce_u64());

    (void)unused;
    for (;;) {
        pthread_mutex_lock(&build.lock);
        while (!build.running)
            pthread_cond_wait(&build.started, &build.lock);
        struct pacer pacer = build.pacer;
        pthread_mutex_unlock(&build.lock);

        uint64_t due = pacer_wait(&pacer);

        pthread_mutex_lock(&build.lock);
        if (build.running && build.pacer.rate == pacer.rate) {
            build.pacer = pacer;
            for (; due > 0; due--)
                build.failed += !compile(build.units++, &state);
        }
        pthread_mutex_unlock(&build.lock);
    }
    return NULL;
}

static const char *build_command(int words, char **word)
{
    const char *wrong = NULL;
    uint64_t rate;

    pthread_mutex_lock(&build.lock);
    if (words == 1 && strcmp(word[0], "stop") == 0)
        build.running = false;
    else if (words != 2 || strcmp(word[0], "start") != 0)
        wrong = "expected start UNITS_PER_S, stop or status";
    else if (!parse_number(word[1], 1, RATE_MAX, &rate))
        wrong = "expected a rate from 1 to 10000 units per second";
    else {
        build.pacer = (struct pacer){.rate = rate};
        build.running = true;
        pthread_cond_signal(&build.started);
    }
    pthread_mutex_unlock(&build.lock);
    return wrong;
}

static void build_status(char *text, size_t size)
{
    pthread_mutex_lock(&build.lock);
    snprintf(text, size,
             "{\"running\":%s,\"rate\":%" PRIu64 ",\"units\":%" PRIu64 ",\"failed\":%" PRIu64 "}",
             build.running ? "true" : "false", build.pacer.rate, build.units, build.failed);
    pthread_mutex_unlock(&build.lock);
}

struct service build_service = {
    .name = "build", .port = 1005, .command = build_command, .status = build_status};

void build_init(void)
{
    thread_start(build_run, NULL);
}
