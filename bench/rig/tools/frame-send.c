/*
 * Sends numbered frames as fast as the interface takes them: a fixed number, or for a fixed time. For tests of the sink
 * it can make one fault: leave a frame out, swap it with the next one, or send it twice.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "tool.h"

#define BATCH 64
#define SEND_BUFFER_BYTES (8 << 20)
#define USAGE                                                                      \
	"frame-send INTERFACE DESTINATION LENGTH RUN frames|ms NUMBER [drop|swap|repeat SEQUENCE]"

enum fault { NONE, DROP, SWAP, REPEAT };

struct plan {
	uint64_t frames; /* how many, or without an end */
	uint64_t end_ns; /* 0: not limited by time */
	enum fault fault;
	uint64_t fault_at;
};

static unsigned char frames[BATCH][FRAME_BYTES_MAX];
static struct mmsghdr messages[BATCH];
static struct iovec parts[BATCH];

static int open_socket(const char *interface, unsigned char *source)
{
	int fd = (int)checked(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), "socket");
	struct sockaddr_ll address = { .sll_family = AF_PACKET };
	int bytes = SEND_BUFFER_BYTES;
	struct ifreq request = { 0 };

	address.sll_ifindex = (int)if_nametoindex(interface);
	if (address.sll_ifindex == 0)
		fail(interface);
	strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
	checked(ioctl(fd, SIOCGIFHWADDR, &request), "SIOCGIFHWADDR");
	memcpy(source, request.ifr_hwaddr.sa_data, 6);
	checked(setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)), "SO_SNDBUFFORCE");
	checked(bind(fd, (struct sockaddr *)&address, sizeof(address)), "bind");
	return fd;
}

static void put32(unsigned char *at, uint32_t value)
{
	value = htonl(value);
	memcpy(at, &value, sizeof(value));
}

static void prepare(const char *destination, const unsigned char *source, size_t length, uint32_t run)
{
	unsigned char mac[6];

	if (sscanf(destination, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3,
		   mac + 4, mac + 5) != 6)
		usage(USAGE);
	for (int i = 0; i < BATCH; i++) {
		memcpy(frames[i], mac, 6);
		memcpy(frames[i] + 6, source, 6);
		frames[i][12] = ETHERTYPE_TEST >> 8;
		frames[i][13] = ETHERTYPE_TEST & 0xff;
		put32(frames[i] + RUN_OFFSET, run);
		parts[i] = (struct iovec){ frames[i], length };
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1 };
	}
}

/* The number that the frame sent at a position bears. */
static uint64_t sequence_at(const struct plan *plan, uint64_t position)
{
	uint64_t at = plan->fault_at;

	switch (plan->fault) {
	case DROP:
		return position < at ? position : position + 1;
	case SWAP:
		return position == at ? at + 1 : position == at + 1 ? at : position;
	case REPEAT:
		return position <= at ? position : position - 1;
	default:
		return position;
	}
}

static int congested(void)
{
	return errno == ENOBUFS || errno == EAGAIN || errno == EINTR;
}

/* Returns how many the interface took. */
static uint64_t send_all(int fd, const struct plan *plan, uint64_t *retries)
{
	uint64_t sent = 0;

	while (sent < plan->frames && (plan->end_ns == 0 || now_ns() < plan->end_ns)) {
		uint64_t left = plan->frames - sent;
		unsigned count = left < BATCH ? (unsigned)left : BATCH;
		int taken;

		for (unsigned i = 0; i < count; i++)
			put32(frames[i] + SEQUENCE_OFFSET, (uint32_t)sequence_at(plan, sent + i));
		taken = sendmmsg(fd, messages, count, 0);
		if (taken >= 0) {
			sent += (uint64_t)taken;
			continue;
		}
		if (!congested())
			fail("sendmmsg");
		++*retries;
	}
	return sent;
}

static void plan_fault(struct plan *plan, const char *kind, const char *at)
{
	if (!strcmp(kind, "drop"))
		plan->fault = DROP;
	else if (!strcmp(kind, "swap"))
		plan->fault = SWAP;
	else if (!strcmp(kind, "repeat"))
		plan->fault = REPEAT;
	else
		usage(USAGE);
	plan->fault_at = (uint64_t)number(at, 0, UINT32_MAX);
}

int main(int count, char **words)
{
	struct plan plan = { .frames = UINT32_MAX };
	unsigned char source[6];
	uint64_t retries = 0, sent, start_ns;
	size_t length;
	int fd;

	if (count != 7 && count != 9)
		usage(USAGE);
	fd = open_socket(words[1], source);
	length = (size_t)number(words[3], FRAME_BYTES_MIN, FRAME_BYTES_MAX);
	prepare(words[2], source, length, (uint32_t)number(words[4], 0, UINT32_MAX));
	if (count == 9)
		plan_fault(&plan, words[7], words[8]);
	start_ns = now_ns();
	if (!strcmp(words[5], "frames"))
		plan.frames = (uint64_t)number(words[6], 1, UINT32_MAX);
	else
		plan.end_ns = start_ns + (uint64_t)number(words[6], 1, 60000) * NS_PER_MS;
	sent = send_all(fd, &plan, &retries);
	say("{\"type\":\"result\",\"frames\":%lu,\"retries\":%lu,\"startNs\":%lu,\"endNs\":%lu}", sent,
	    retries, start_ns, now_ns());
	return 0;
}
