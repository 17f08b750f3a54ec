/*
 * Drives a proxy over its control socket as cheaply as it goes: `at-once` seals and releases whenever output is
 * pending, `every MS` seals at each tick and releases what was sealed at once. Each seal and its release travel
 * together. Ends when standard input ends, and says how many epochs there were and how long each took from the request
 * to the answer of its release.
 */
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#include "tool.h"

#define LINE_SPACE (64 << 10)
#define TIMES_MAX (1 << 20)
#define USAGE "epoch-driver SOCKET at-once | epoch-driver SOCKET every MICROSECONDS"

static int server;
static char line_space[LINE_SPACE];
static size_t line_bytes;
static uint64_t times_ns[TIMES_MAX];
static size_t times_count;
static uint64_t epochs_asked, epochs_done;
/* The epoch that is sealed next. */
static uint64_t open_epoch;

static void write_all(const char *text, size_t length)
{
	while (length > 0) {
		ssize_t put = checked(write(server, text, length), "write");

		text += put;
		length -= (size_t)put;
	}
}

/* Seals the epoch and releases it. The id of the release is the time: its answer brings it back. */
static void ask(uint64_t epoch)
{
	char text[256];
	int length = snprintf(text, sizeof(text),
			      "{\"execute\":\"seal\",\"arguments\":{\"epoch\":%lu},\"id\":0}\n"
			      "{\"execute\":\"release\",\"arguments\":{\"epoch\":%lu},\"id\":%lu}\n",
			      epoch, epoch, now_ns());

	write_all(text, (size_t)length);
	epochs_asked++;
}

static uint64_t member(const char *line, const char *name)
{
	const char *at = strstr(line, name);

	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static void take_answer(const char *line)
{
	uint64_t sent_ns = member(line, "\"id\":");

	if (sent_ns == 0)
		return;
	if (times_count < TIMES_MAX)
		times_ns[times_count++] = now_ns() - sent_ns;
	epochs_done++;
}

/* An event may be older than the request that seals its epoch already. */
static void take_pending(uint64_t epoch)
{
	if (epoch < open_epoch)
		return;
	ask(epoch);
	open_epoch = epoch + 1;
}

static void take_line(const char *line, int at_once)
{
	if (!strncmp(line, "{\"error\"", 8)) {
		fprintf(stderr, "%s\n", line);
		exit(1);
	}
	if (!strncmp(line, "{\"return\"", 9))
		take_answer(line);
	else if (at_once && strstr(line, "\"OUTPUT_PENDING\""))
		take_pending(member(line, "\"epoch\":"));
}

/* Reads what is there and passes every whole line on. */
static void receive(void (*take)(const char *, int), int at_once)
{
	ssize_t got = checked(read(server, line_space + line_bytes, LINE_SPACE - 1 - line_bytes), "read");
	char *start = line_space, *end;

	if (got == 0) {
		fprintf(stderr, "the proxy closed the connection\n");
		exit(1);
	}
	line_bytes += (size_t)got;
	line_space[line_bytes] = '\0';
	while ((end = strchr(start, '\n'))) {
		*end = '\0';
		take(start, at_once);
		start = end + 1;
	}
	line_bytes -= (size_t)(start - line_space);
	memmove(line_space, start, line_bytes);
}

static void take_first(const char *line, int unused)
{
	(void)unused;
	if (strstr(line, "\"id\":1}"))
		open_epoch = member(line, "\"epoch\":") + 1;
}

/* Connects, seals what is open and releases it: from here on the epochs are known. */
static void connect_to(const char *path)
{
	static const char greeting[] = "{\"execute\":\"qmp_capabilities\"}\n"
				       "{\"execute\":\"seal\",\"id\":1}\n";
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	server = (int)checked(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
	checked(connect(server, (struct sockaddr *)&address, sizeof(address)), path);
	write_all(greeting, sizeof(greeting) - 1);
	while (open_epoch == 0)
		receive(take_first, 0);
	/* Also whatever was pending meanwhile, whose event may have come before this connection. */
	ask(open_epoch++);
}

static int timer_of(uint64_t interval_us)
{
	struct itimerspec every = { 0 };
	int fd = (int)checked(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), "timerfd");

	every.it_interval.tv_sec = (time_t)(interval_us / 1000000);
	every.it_interval.tv_nsec = (long)(interval_us % 1000000) * 1000;
	every.it_value = every.it_interval;
	checked(timerfd_settime(fd, 0, &every, NULL), "timerfd_settime");
	return fd;
}

static void drive(int timer)
{
	struct pollfd wait[] = { { .fd = server, .events = POLLIN },
				 { .fd = STDIN_FILENO, .events = POLLIN },
				 { .fd = timer, .events = POLLIN } };

	for (;;) {
		uint64_t ticks;

		poll(wait, 3, -1);
		if (wait[0].revents)
			receive(take_line, timer < 0);
		/* A tick that comes before the last epoch is through would only pile up requests. */
		if (wait[2].revents && read(timer, &ticks, sizeof(ticks)) > 0 && epochs_asked == epochs_done)
			ask(open_epoch++);
		if (wait[1].revents && asked_to_end(0))
			return;
	}
}

static int by_size(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

int main(int count, char **words)
{
	int timer = -1;

	if (count == 4 && !strcmp(words[2], "every"))
		timer = timer_of((uint64_t)number(words[3], 100, 10000000));
	else if (count != 3 || strcmp(words[2], "at-once"))
		usage(USAGE);
	connect_to(words[1]);
	say_ready();
	drive(timer);
	qsort(times_ns, times_count, sizeof(times_ns[0]), by_size);
	say("{\"type\":\"result\",\"epochs\":%lu,\"p50Ns\":%lu,\"p99Ns\":%lu}", epochs_done,
	    times_count ? times_ns[times_count / 2] : 0, times_count ? times_ns[times_count * 99 / 100] : 0);
	return 0;
}
