/*
 * Long transfers. Port 19 answers the line `N SEED` with N bytes of the generator, each 64-bit
 * number big-endian; then the next line may come. Port 9 swallows everything and, when the client
 * has shut down its side, answers the line `COUNT DIGEST`: bytes in decimal, FNV-1a-64 in 16 hex
 * digits.
 */
#include "fnv.h"
#include "generator.h"
#include "history.h"
#include "net.h"
#include "services.h"
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_BYTES 16384u

static atomic_ulong sent_total, swallowed_total;

static bool bulk_send(int fd, uint64_t length, uint64_t seed)
{
    uint8_t block[BLOCK_BYTES];
    uint64_t state = generator_start(seed);

    while (length > 0) {
        size_t some = length < sizeof block ? (size_t)length : sizeof block;
        for (size_t at = 0; at < some; at += 8)
            put_u64(block + at, generator_next(&state));
        if (!net_send(fd, block, some))
            return false;
        atomic_fetch_add(&sent_total, some);
        length -= some;
    }
    return true;
}

static void bulk_serve(int fd, void *unused)
{
    struct reader reader = {.fd = fd};
    char *line;

    (void)unused;
    while ((line = reader_line(&reader)) != NULL) {
        uint64_t length, seed;
        char *space = strchr(line, ' ');
        if (space)
            *space++ = '\0';
        bool good = parse_number(line, 0, UINT64_MAX, &length) &&
                    parse_number(space, 0, UINT64_MAX, &seed);
        if (!good || !bulk_send(fd, length, seed))
            return;
    }
}

static void sink_serve(int fd, void *unused)
{
    uint8_t block[BLOCK_BYTES];
    uint64_t total = 0, digest = FNV_START;
    ssize_t got;

    (void)unused;
    while ((got = read(fd, block, sizeof block)) > 0) {
        digest = fnv_add(digest, block, (size_t)got);
        total += (uint64_t)got;
        atomic_fetch_add(&swallowed_total, (unsigned long)got);
    }
    if (got == 0)
        net_print(fd, "%" PRIu64 " %016" PRIx64 "\n", total, digest);
}

static const char *streams_command(int words, char **word)
{
    (void)words;
    (void)word;
    return "expected status";
}

static void streams_status(char *text, size_t size)
{
    unsigned long connections, bytes;

    echo_count(&connections, &bytes);
    snprintf(text, size,
             "{\"echoConnections\":%lu,\"echoBytes\":%lu,\"bulkBytes\":%lu,\"sinkBytes\":%lu}",
             connections, bytes, atomic_load(&sent_total), atomic_load(&swallowed_total));
}

struct service streams_service = {
    .name = "streams", .port = 1004, .command = streams_command, .status = streams_status};

void bulk_init(unsigned port_base)
{
    net_serve(port_base + 19, bulk_serve, NULL);
    net_serve(port_base + 9, sink_serve, NULL);
}
