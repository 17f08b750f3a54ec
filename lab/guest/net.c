#include "net.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECTIONS_MAX 32

static void die(const char *what)
{
    perror(what);
    exit(1);
}

int net_listen(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0)
        die("workload: socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 64) < 0)
        die("workload: listen");
    return fd;
}

bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
    char *end;

    if (!text || *text < '0' || *text > '9')
        return false;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && *value >= min && *value <= max;
}

bool net_address(const char *ip, const char *port, struct sockaddr_in *address)
{
    uint64_t number;

    *address = (struct sockaddr_in){.sin_family = AF_INET};
    if (!ip || inet_pton(AF_INET, ip, &address->sin_addr) != 1 ||
        !parse_number(port, 1, 65535, &number))
        return false;
    address->sin_port = htons((uint16_t)number);
    return true;
}

void net_no_delay(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

bool net_send(int fd, const void *bytes, size_t length)
{
    const char *at = bytes;

    while (length > 0) {
        ssize_t wrote = send(fd, at, length, MSG_NOSIGNAL);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return false;
        at += wrote;
        length -= (size_t)wrote;
    }
    return true;
}

bool net_print(int fd, const char *format, ...)
{
    char text[4096];
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return length >= 0 && (size_t)length < sizeof text && net_send(fd, text, (size_t)length);
}

char *reader_line(struct reader *reader)
{
    memmove(reader->bytes, reader->bytes + reader->taken, reader->length - reader->taken);
    reader->length -= reader->taken;
    reader->taken = 0;
    for (;;) {
        char *newline = memchr(reader->bytes, '\n', reader->length);
        if (newline) {
            reader->taken = (size_t)(newline - reader->bytes) + 1;
            *newline = '\0';
            if (newline > reader->bytes && newline[-1] == '\r')
                newline[-1] = '\0';
            return reader->bytes;
        }
        if (reader->length == sizeof reader->bytes)
            return NULL;
        size_t room = sizeof reader->bytes - reader->length;
        ssize_t got = read(reader->fd, reader->bytes + reader->length, room);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return NULL;
        reader->length += (size_t)got;
    }
}

void thread_start(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 256 << 10);
    if (pthread_create(&thread, &attributes, body, argument) != 0)
        die("workload: pthread_create");
    pthread_attr_destroy(&attributes);
}

struct server {
    int listener;
    atomic_int connections;
    void (*handler)(int fd, void *context);
    void *context;
};

struct connection {
    int fd;
    struct server *server;
};

static void *serve_connection(void *argument)
{
    struct connection connection = *(struct connection *)argument;

    free(argument);
    net_no_delay(connection.fd);
    connection.server->handler(connection.fd, connection.server->context);
    close(connection.fd);
    atomic_fetch_sub(&connection.server->connections, 1);
    return NULL;
}

static void *serve_port(void *argument)
{
    struct server *server = argument;

    for (;;) {
        int fd = accept(server->listener, NULL, NULL);
        if (fd < 0) {
            /* Out of descriptors, or a connection that was reset: neither is worth spinning for. */
            usleep(10000);
            continue;
        }
        struct connection *connection = malloc(sizeof *connection);
        if (!connection || atomic_load(&server->connections) >= CONNECTIONS_MAX) {
            free(connection);
            close(fd);
            continue;
        }
        *connection = (struct connection){fd, server};
        atomic_fetch_add(&server->connections, 1);
        thread_start(serve_connection, connection);
    }
    return NULL;
}

void net_serve(unsigned port, void (*handler)(int fd, void *context), void *context)
{
    struct server *server = calloc(1, sizeof *server);

    if (!server)
        die("workload: calloc");
    server->listener = net_listen(port);
    server->handler = handler;
    server->context = context;
    thread_start(serve_port, server);
}
