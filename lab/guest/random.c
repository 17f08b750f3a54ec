/*
 * Port 8: answers whatever comes with as many random bytes. Two executions of one state never give
 * the same answer.
 */
#include "net.h"
#include "nonce.h"
#include "services.h"
#include <unistd.h>

#define BLOCK_BYTES 4096u

static void random_serve(int fd, void *unused)
{
    uint8_t block[BLOCK_BYTES];
    ssize_t got;

    (void)unused;
    net_no_delay(fd);
    while ((got = read(fd, block, sizeof block)) > 0) {
        for (ssize_t at = 0; at < got; at += NONCE_BYTES)
            nonce_draw(block + at);
        if (!net_send(fd, block, (size_t)got))
            return;
    }
}

void random_init(unsigned port_base)
{
    net_serve(port_base + 8, random_serve, NULL);
}
