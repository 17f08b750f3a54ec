/*
 * `echo` answers datagrams; `ping` sends one every so often and measures the round trip of each, one after the other:
 * an answer that is late delays the next question, one that does not come within 300 ms is lost.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "tool.h"

#define BYTES 22
#define LOST_MS 300
#define PINGS_MAX 100000
#define USAGE "udp-ping echo PORT | udp-ping ping ADDRESS PORT COUNT INTERVAL-US"

static uint64_t round_trips[PINGS_MAX];

static int open_socket(void)
{
	return (int)checked(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
}

static struct sockaddr_in address_of(const char *host, const char *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET };

	address.sin_port = htons((uint16_t)number(port, 1, 65535));
	if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
		usage(USAGE);
	return address;
}

__attribute__((noreturn)) static void echo_on(const char *port)
{
	struct sockaddr_in address = address_of("0.0.0.0", port);
	int fd = open_socket();

	checked(bind(fd, (struct sockaddr *)&address, sizeof(address)), "bind");
	say_ready();
	for (;;) {
		char bytes[2048];
		struct sockaddr_in from;
		socklen_t length = sizeof(from);
		ssize_t got = recvfrom(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &length);

		if (got >= 0)
			sendto(fd, bytes, (size_t)got, 0, (struct sockaddr *)&from, length);
	}
}

/* Waits for the answer to question `sequence`; older ones are those that were given up. */
static int answered(int fd, uint64_t sequence)
{
	uint64_t until_ns = now_ns() + LOST_MS * NS_PER_MS;

	for (;;) {
		struct timeval left = { .tv_usec = LOST_MS * 1000 };
		char bytes[BYTES];
		uint64_t got = 0;

		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &left, sizeof(left));
		if (recv(fd, bytes, BYTES, 0) != BYTES) {
			if (now_ns() > until_ns)
				return 0;
			continue;
		}
		memcpy(&got, bytes, sizeof(got));
		if (got == sequence)
			return 1;
	}
}

static int ping(const char *host, const char *port, long count, uint64_t interval_ns)
{
	struct sockaddr_in address = address_of(host, port);
	int fd = open_socket();
	uint64_t next_ns = now_ns();
	long done = 0;

	/* Else every sleep is up to 50 us longer. */
	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	checked(connect(fd, (struct sockaddr *)&address, sizeof(address)), "connect");
	for (long i = 0; i < count; i++) {
		struct timespec at = { (time_t)(next_ns / NS_PER_S), (long)(next_ns % NS_PER_S) };
		char bytes[BYTES] = { 0 };
		uint64_t sequence = (uint64_t)i, sent_ns;

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
		memcpy(bytes, &sequence, sizeof(sequence));
		sent_ns = now_ns();
		if (send(fd, bytes, BYTES, 0) == BYTES && answered(fd, sequence))
			round_trips[done++] = now_ns() - sent_ns;
		next_ns = (next_ns + interval_ns > now_ns()) ? next_ns + interval_ns : now_ns();
	}
	printf("{\"type\":\"result\",\"lost\":%ld,\"roundTripNs\":[", count - done);
	for (long i = 0; i < done; i++)
		printf("%s%lu", i == 0 ? "" : ",", round_trips[i]);
	say("]}");
	return 0;
}

int main(int count, char **words)
{
	if (count == 3 && !strcmp(words[1], "echo"))
		echo_on(words[2]);
	if (count == 6 && !strcmp(words[1], "ping"))
		return ping(words[2], words[3], number(words[4], 1, PINGS_MAX),
			    (uint64_t)number(words[5], 0, 1000000) * NS_PER_US);
	usage(USAGE);
}
