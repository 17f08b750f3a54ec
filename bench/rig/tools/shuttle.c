/*
 * Plays QEMU with a virtio network card: carries frames with their vnet headers between a tap that the guest's
 * namespace uses as its card and the host's tap, in one thread, as QEMU's I/O thread does. Both taps go when it ends.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "tool.h"

/* What QEMU's virtio-net takes at once before it looks at the other direction. */
#define BURST 256
#define FRAME_SPACE (128 << 10)
#define VNET_HEADER_BYTES 10
#define OFFLOADS (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)
/* Linux 6.2; the headers may be older. */
#define OFFLOADS_UDP 0x60

static char space[FRAME_SPACE];

static int open_tap(const char *namespace, const char *name, int offloads)
{
	int there = (int)checked(open(namespace, O_RDONLY | O_CLOEXEC), namespace);
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int header_bytes = VNET_HEADER_BYTES;
	int fd;

	checked(setns(there, CLONE_NEWNET), "setns");
	close(there);
	fd = (int)checked(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), "/dev/net/tun");
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	checked(ioctl(fd, TUNSETIFF, &request), "TUNSETIFF");
	checked(ioctl(fd, TUNSETVNETHDRSZ, &header_bytes), "TUNSETVNETHDRSZ");
	if (!offloads)
		checked(ioctl(fd, TUNSETOFFLOAD, 0), "TUNSETOFFLOAD");
	else if (ioctl(fd, TUNSETOFFLOAD, OFFLOADS | OFFLOADS_UDP) < 0)
		checked(ioctl(fd, TUNSETOFFLOAD, OFFLOADS), "TUNSETOFFLOAD");
	return fd;
}

/* A tap that takes nothing now is waited for, as a full virtqueue would be. EIO: the interface is down. */
static void put(int fd, size_t length)
{
	while (write(fd, space, length) < 0) {
		struct pollfd wait = { .fd = fd, .events = POLLOUT };

		if (errno != EAGAIN && errno != ENOBUFS && errno != EINTR)
			return;
		poll(&wait, 1, 1);
	}
}

static void carry(int from, int to)
{
	for (int i = 0; i < BURST; i++) {
		ssize_t length = read(from, space, FRAME_SPACE);

		if (length <= 0)
			return;
		put(to, (size_t)length);
	}
}

int main(int count, char **words)
{
	struct pollfd taps[2];
	int offloads;

	if (count != 6)
		usage("shuttle GUEST-NAMESPACE GUEST-TAP HOST-NAMESPACE HOST-TAP on|off");
	offloads = !strcmp(words[5], "on");
	taps[0] = (struct pollfd){ .fd = open_tap(words[1], words[2], offloads), .events = POLLIN };
	taps[1] = (struct pollfd){ .fd = open_tap(words[3], words[4], offloads), .events = POLLIN };
	say_ready();
	for (;;) {
		poll(taps, 2, -1);
		if (taps[0].revents & POLLIN)
			carry(taps[0].fd, taps[1].fd);
		if (taps[1].revents & POLLIN)
			carry(taps[1].fd, taps[0].fd);
		/* An interface that is down: its tap is "in error" until it is up. */
		if ((taps[0].revents | taps[1].revents) & POLLERR)
			usleep(1000);
	}
}
