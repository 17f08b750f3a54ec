/*
 * Counts the frames that come in on an interface by the kernel's own counter, which costs the path nothing: looks at it
 * every 5 ms until standard input ends, and then until no frame has come for 150 ms. Says every look, so that the rate
 * of any stretch of time can be told.
 */
#include <fcntl.h>

#include "tool.h"

#define LOOK_MS 5
#define QUIET_MS 150
#define DRAIN_MS_MAX 8000
#define LOOKS_MAX 16384

struct look {
	uint64_t at_ns;
	uint64_t frames;
};

static struct look looks[LOOKS_MAX];
static unsigned looks_made;

static uint64_t counter(int fd)
{
	char text[32];
	ssize_t length = checked(pread(fd, text, sizeof(text) - 1, 0), "rx_packets");

	text[length] = '\0';
	return strtoull(text, NULL, 10);
}

static struct look *look(int fd)
{
	struct look *one = &looks[looks_made];

	*one = (struct look){ now_ns(), counter(fd) };
	if (looks_made < LOOKS_MAX - 1)
		looks_made++;
	return one;
}

/* Looks on until the counter stands still. */
static void drain(int fd)
{
	uint64_t end_ns = now_ns() + DRAIN_MS_MAX * NS_PER_MS;
	struct look last = *look(fd);

	while (now_ns() < end_ns) {
		struct look *now;

		usleep(LOOK_MS * 1000);
		now = look(fd);
		if (now->frames != last.frames)
			last = *now;
		else if (now->at_ns - last.at_ns > QUIET_MS * NS_PER_MS)
			return;
	}
}

int main(int count, char **words)
{
	char path[128];
	int fd;

	if (count != 2)
		usage("frame-count INTERFACE");
	snprintf(path, sizeof(path), "/sys/class/net/%s/statistics/rx_packets", words[1]);
	fd = (int)checked(open(path, O_RDONLY | O_CLOEXEC), path);
	look(fd);
	say_ready();
	while (!asked_to_end(LOOK_MS))
		look(fd);
	drain(fd);
	printf("{\"type\":\"result\",\"looks\":[");
	for (unsigned i = 0; i < looks_made; i++)
		printf("%s[%lu,%lu]", i == 0 ? "" : ",", looks[i].at_ns, looks[i].frames);
	say("]}");
	return 0;
}
