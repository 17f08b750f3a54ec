/*
 * Sends back at once what it gets, to many clients from one thread. A client that does not read
 * is not read from.
 */
#define _GNU_SOURCE
#include "net.h"
#include "services.h"
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS_MAX 256
#define BUFFER_BYTES 16384

/*
 * Invariant: `sent` bytes of the first `length` in the buffer have been sent; both are 0 when all
 * have.
 */
struct client {
    size_t length, sent;
    char bytes[BUFFER_BYTES];
};

/* polls[0] is the listener; polls[i + 1] belongs to clients[i]. */
static struct client clients[CLIENTS_MAX];
static struct pollfd polls[CLIENTS_MAX + 1];
static int count;
static atomic_ulong connections_total, bytes_total;

void echo_count(unsigned long *connections, unsigned long *bytes)
{
    *connections = atomic_load(&connections_total);
    *bytes = atomic_load(&bytes_total);
}

static void echo_accept(void)
{
    int fd = accept4(polls[0].fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return;
    if (count == CLIENTS_MAX) {
        close(fd);
        return;
    }
    net_no_delay(fd);
    clients[count].length = clients[count].sent = 0;
    polls[++count] = (struct pollfd){.fd = fd, .events = POLLIN};
    atomic_fetch_add(&connections_total, 1);
}

/* Reads once and sends what it can; false when the client is gone. */
static bool echo_move(struct client *client, struct pollfd *entry)
{
    if (client->length == 0) {
        ssize_t got = recv(entry->fd, client->bytes, sizeof client->bytes, 0);
        if (got <= 0)
            return got < 0 && errno == EAGAIN;
        client->length = (size_t)got;
    }
    ssize_t wrote = send(entry->fd, client->bytes + client->sent, client->length - client->sent,
                         MSG_NOSIGNAL);
    if (wrote < 0 && errno != EAGAIN)
        return false;
    if (wrote > 0) {
        client->sent += (size_t)wrote;
        atomic_fetch_add(&bytes_total, (unsigned long)wrote);
    }
    if (client->sent == client->length)
        client->length = client->sent = 0;
    entry->events = client->length ? POLLOUT : POLLIN;
    return true;
}

static void echo_drop(int index)
{
    close(polls[index + 1].fd);
    count--;
    if (index < count) {
        clients[index] = clients[count];
        polls[index + 1] = polls[count + 1];
    }
}

static void *echo_run(void *unused)
{
    (void)unused;
    for (;;) {
        if (poll(polls, (nfds_t)count + 1, -1) < 0)
            continue;
        /* Backwards: a dropped client's place is taken by the last one, which has had its turn. */
        for (int i = count - 1; i >= 0; i--) {
            if (polls[i + 1].revents && !echo_move(&clients[i], &polls[i + 1]))
                echo_drop(i);
        }
        if (polls[0].revents)
            echo_accept();
    }
    return NULL;
}

void echo_init(unsigned port_base)
{
    polls[0] = (struct pollfd){.fd = net_listen(port_base + 7), .events = POLLIN};
    thread_start(echo_run, NULL);
}
