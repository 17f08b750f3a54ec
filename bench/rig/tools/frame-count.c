/*
 * Counts the frames that come in on an interface by the kernel's own counter, which costs the path nothing: looks at it
 * every 5 ms until it is told on standard input how many frames there must be, and then until they are there or none
 * has come for a second; told nothing (an end of input), until none has come for 50 ms. Says every look, so that the
 * rate of any stretch of time can be told.
 */
#include <fcntl.h>

#include "tool.h"

#define LOOK_MS 5
#define QUIET_MS 50
/* A proxy that takes a long queue over before it lets anything go may be silent for a while. */
#define QUIET_MS_TOLD 1000
#define DRAIN_MS_MAX 20000
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

/* Looks on until the counter has reached `wanted` (0: nobody knows), or stands still. */
static void drain(int fd, uint64_t wanted)
{
	uint64_t end_ns = now_ns() + DRAIN_MS_MAX * NS_PER_MS;
	uint64_t quiet_ns = (wanted == 0 ? QUIET_MS : QUIET_MS_TOLD) * NS_PER_MS;
	struct look last = *look(fd);

	while (now_ns() < end_ns && (wanted == 0 || last.frames < wanted)) {
		struct look *now;

		usleep(LOOK_MS * 1000);
		now = look(fd);
		if (now->frames != last.frames)
			last = *now;
		else if (now->at_ns - last.at_ns > quiet_ns)
			return;
	}
}

/* Waits for a number on standard input, looking on. Returns 0 when there is none. */
static uint64_t told(int fd)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	char text[32];
	ssize_t length;

	while (poll(&input, 1, LOOK_MS) == 0)
		look(fd);
	length = read(STDIN_FILENO, text, sizeof(text) - 1);
	if (length <= 0)
		return 0;
	text[length] = '\0';
	return strtoull(text, NULL, 10);
}

int main(int count, char **words)
{
	char path[128];
	uint64_t start, wanted;
	int fd;

	if (count != 2)
		usage("frame-count INTERFACE");
	snprintf(path, sizeof(path), "/sys/class/net/%s/statistics/rx_packets", words[1]);
	fd = (int)checked(open(path, O_RDONLY | O_CLOEXEC), path);
	start = look(fd)->frames;
	say_ready();
	wanted = told(fd);
	drain(fd, wanted == 0 ? 0 : start + wanted);
	printf("{\"type\":\"result\",\"looks\":[");
	for (unsigned i = 0; i < looks_made; i++)
		printf("%s[%lu,%lu]", i == 0 ? "" : ",", looks[i].at_ns, looks[i].frames);
	say("]}");
	return 0;
}
