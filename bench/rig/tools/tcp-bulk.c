/*
 * TCP in bulk. `send` fills N connections until the receiver ends them; `receive` accepts them, lets them settle, and
 * measures for a while what its program reads.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "tool.h"

#define STREAMS_MAX 64
#define CHUNK_BYTES (256 << 10)
#define CONNECT_MS_MAX 10000
#define LIFE_S_MAX 120
#define USAGE                                                                      \
	"tcp-bulk send ADDRESS PORT STREAMS | tcp-bulk receive PORT STREAMS SETTLE-MS MEASURE-MS"

static char chunk[CHUNK_BYTES];

static struct sockaddr_in address_of(const char *host, const char *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET };

	address.sin_port = htons((uint16_t)number(port, 1, 65535));
	if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
		usage(USAGE);
	return address;
}

static void watch(int poller, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	checked(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

static int send_on(const char *host, const char *port, long streams)
{
	struct sockaddr_in address = address_of(host, port);
	int poller = (int)checked(epoll_create1(EPOLL_CLOEXEC), "epoll");
	long open = streams;

	for (long i = 0; i < streams; i++) {
		int fd = (int)checked(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");

		checked(connect(fd, (struct sockaddr *)&address, sizeof(address)), "connect");
		watch(poller, fd, EPOLLOUT);
	}
	while (open > 0) {
		struct epoll_event ready[STREAMS_MAX];
		int count = epoll_wait(poller, ready, STREAMS_MAX, -1);

		for (int i = 0; i < count; i++) {
			if (send(ready[i].data.fd, chunk, CHUNK_BYTES, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 ||
			    errno == EAGAIN)
				continue;
			close(ready[i].data.fd);
			open--;
		}
	}
	say("{\"type\":\"result\"}");
	return 0;
}

static int accept_all(const char *port, long streams)
{
	struct sockaddr_in address = address_of("0.0.0.0", port);
	int listener = (int)checked(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
	int poller = (int)checked(epoll_create1(EPOLL_CLOEXEC), "epoll");
	int on = 1;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	checked(bind(listener, (struct sockaddr *)&address, sizeof(address)), "bind");
	checked(listen(listener, STREAMS_MAX), "listen");
	say_ready();
	for (long i = 0; i < streams; i++) {
		struct pollfd wait = { .fd = listener, .events = POLLIN };

		if (poll(&wait, 1, CONNECT_MS_MAX) <= 0) {
			errno = ETIMEDOUT;
			fail("accept");
		}
		watch(poller, (int)checked(accept4(listener, NULL, NULL, SOCK_CLOEXEC), "accept"), EPOLLIN);
	}
	return poller;
}

/* Reads until `until_ns` and returns the bytes read. */
static uint64_t read_until(int poller, uint64_t until_ns)
{
	uint64_t bytes = 0;

	for (uint64_t now = now_ns(); now < until_ns; now = now_ns()) {
		struct epoll_event ready[STREAMS_MAX];
		int count = epoll_wait(poller, ready, STREAMS_MAX, (int)((until_ns - now) / NS_PER_MS) + 1);

		for (int i = 0; i < count; i++) {
			ssize_t got = recv(ready[i].data.fd, chunk, CHUNK_BYTES, MSG_DONTWAIT);

			if (got > 0)
				bytes += (uint64_t)got;
			else if (got == 0 || errno != EAGAIN)
				fail("the sender ended");
		}
	}
	return bytes;
}

static int receive_on(const char *port, long streams, uint64_t settle_ns, uint64_t measure_ns)
{
	int poller = accept_all(port, streams);
	uint64_t start_ns, end_ns, bytes;

	read_until(poller, now_ns() + settle_ns);
	start_ns = now_ns();
	say("{\"type\":\"measuring\"}");
	bytes = read_until(poller, start_ns + measure_ns);
	end_ns = now_ns();
	say("{\"type\":\"result\",\"bytes\":%lu,\"startNs\":%lu,\"endNs\":%lu}", bytes, start_ns, end_ns);
	return 0;
}

int main(int count, char **words)
{
	alarm(LIFE_S_MAX);
	if (count == 5 && !strcmp(words[1], "send"))
		return send_on(words[2], words[3], number(words[4], 1, STREAMS_MAX));
	if (count == 6 && !strcmp(words[1], "receive"))
		return receive_on(words[2], number(words[3], 1, STREAMS_MAX),
				  (uint64_t)number(words[4], 0, 60000) * NS_PER_MS,
				  (uint64_t)number(words[5], 1, 60000) * NS_PER_MS);
	usage(USAGE);
}
