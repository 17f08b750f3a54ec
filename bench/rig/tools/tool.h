/* What all traffic tools share: time, arguments, the end of a run, and the frame that the generator and the sink know. */
#ifndef TOOL_H
#define TOOL_H

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000ull
#define NS_PER_MS 1000000ull
#define NS_PER_US 1000ull

/* For local experiments, IEEE 802. */
#define ETHERTYPE_TEST 0x88b5
/* Ethernet header, then the number of the run and that of the frame, each 32 bits in network byte order. */
#define RUN_OFFSET 14
#define SEQUENCE_OFFSET 18
#define FRAME_BYTES_MIN 60
#define FRAME_BYTES_MAX 9014

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static inline uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

__attribute__((noreturn)) static inline void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

__attribute__((noreturn)) static inline void usage(const char *text)
{
	fprintf(stderr, "usage: %s\n", text);
	exit(2);
}

static inline long checked(long result, const char *what)
{
	if (result < 0)
		fail(what);
	return result;
}

/* A whole number from min to max. */
static inline long number(const char *text, long min, long max)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*text == '\0' || *end != '\0' || value < min || value > max) {
		fprintf(stderr, "expected a number from %ld to %ld, got %s\n", min, max, text);
		exit(2);
	}
	return value;
}

/* Says one line of JSON at once. */
#define say(...) (printf(__VA_ARGS__), putchar('\n'), (void)fflush(stdout))

/* Says that traffic may come. */
static inline void say_ready(void)
{
	say("{\"type\":\"ready\"}");
}

/* Whether standard input is at its end: whoever started the tool wants the result. Waits at most wait_ms. */
static inline int asked_to_end(int wait_ms)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	char bytes[64];

	return poll(&input, 1, wait_ms) > 0 && read(STDIN_FILENO, bytes, sizeof(bytes)) <= 0;
}

#endif
