/* Sockets: listeners, whole writes, lines, and a thread for each connection. */
#ifndef NET_H
#define NET_H
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest line of every protocol here, with its newline. */
#define LINE_BYTES 512

/* A TCP listener on all addresses, or the end of the program with a message. */
int net_listen(unsigned port);

/* Parses an IPv4 address and a port in decimal; false when either is wrong. */
bool net_address(const char *ip, const char *port, struct sockaddr_in *address);

/* A whole decimal number in [min, max]; false when `text` is anything else. */
bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *value);

void net_no_delay(int fd);

/* Writes all bytes; false when the connection is gone. */
bool net_send(int fd, const void *bytes, size_t length);

/* Formats and writes. */
bool net_print(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct reader {
    int fd;
    size_t length, taken;
    char bytes[LINE_BYTES];
};

/*
 * The next line, without its newline and carriage return; valid until the next call. NULL at the
 * end of the connection and when a line is longer than LINE_BYTES.
 */
char *reader_line(struct reader *reader);

/*
 * Serves a port for ever: each connection has a thread that runs `handler` and then closes it; at
 * most 32 at a time.
 */
void net_serve(unsigned port, void (*handler)(int fd, void *context), void *context);

/* A detached thread with a small stack, or the end of the program. */
void thread_start(void *(*body)(void *), void *argument);
#endif
