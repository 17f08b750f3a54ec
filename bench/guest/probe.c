/*
 * What measures a guest from outside, as a small process of its own: nothing of the harness shares
 * its event loop. Every result is one line of JSON, the last one on stdout; times are whole microseconds, of the
 * monotonic clock, and where they say "at", of the wall clock.
 *
 *   probe trips IP PORT RATE MS same|random    messages of 64 bytes for MS, RATE per second on
 *                                              average. They go by schedule, also while older ones
 *                                              are under way, and the intervals vary by half, so
 *                                              that they never march in step with checkpoints.
 *                                              `same`: each answer must be its question; `random`:
 *                                              it must not be. SIGTERM ends it before its time.
 *   probe fetch IP PORT WARM MS                reads from the guest's bulk port; for WARM ms it does
 *                                              not count, so that TCP has opened its window
 *   probe feed IP PORT WARM MS                 writes to the guest's sink port; counts what the
 *                                              guest's TCP has acknowledged
 *   probe ask IP PORT LINE...                  says lines, each when the one before was answered
 *   probe first INTERFACE MAC MS               waits for the first frame from MAC that enters there
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/tcp.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_BYTES 64u
#define MESSAGE_WORDS (MESSAGE_BYTES / 8)
#define MESSAGES_MAX (1u << 18)
#define OUTSTANDING_MAX 4096u
#define BLOCK_BYTES (1u << 17)
#define NS_PER_S 1000000000ull
#define NS_PER_MS 1000000ull
/* How long the last answers may take. */
#define ANSWER_MS_MAX 4000u
#define CONNECT_MS_MAX 5000
#define ASK_MS_MAX 60000
/* A probe that hangs ends by itself. */
#define LIFE_S_MAX 180
#define BULK_REQUEST "1000000000000 1\n"

static uint8_t block[BLOCK_BYTES];
static volatile sig_atomic_t ended;

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static void fail(const char *what)
{
    fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t number(const char *text, uint64_t max)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);

    if (*text < '0' || *text > '9' || *end || value > max) {
        fprintf(stderr, "probe: expected a number up to %lu, got %s\n", max, text);
        exit(2);
    }
    return value;
}

/* What follows is the result. */
static void say_ready(void)
{
    puts("{\"ready\":true}");
    fflush(stdout);
}

/* xorshift64* */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1du;
}

static int connect_to(const char *ip, const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)number(port, 65535))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, error = 0;
    socklen_t size = sizeof error;
    struct pollfd wait = {.fd = fd, .events = POLLOUT};

    if (inet_pton(AF_INET, ip, &address.sin_addr) != 1 || fd < 0)
        fail(ip);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS)
        fail("connect");
    if (poll(&wait, 1, CONNECT_MS_MAX) <= 0) {
        errno = ETIMEDOUT;
        fail("connect");
    }
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        errno = error;
        fail("connect");
    }
    return fd;
}

/* Messages of one connection, numbered from 0: [received, sent) are under way. */
static struct trips {
    int fd;
    bool random;
    uint64_t sent, received, skipped, wrong, partial, unsent;
    uint64_t sent_ns[MESSAGES_MAX], trip_ns[MESSAGES_MAX];
    uint64_t heard_ns, silence_ns, silence_at_ns;
    uint8_t outgoing[MESSAGE_BYTES];
    const char *lost;
} trips;

static void fill_message(uint64_t index, uint8_t message[MESSAGE_BYTES])
{
    uint64_t state = index + 1, words[MESSAGE_WORDS];

    for (unsigned i = 0; i < MESSAGE_WORDS; i++)
        words[i] = next_random(&state);
    memcpy(message, words, MESSAGE_BYTES);
}

/* Sends what is left of the newest message; the rest waits for the socket. */
static void trips_push(void)
{
    while (trips.unsent > 0 && !trips.lost) {
        const uint8_t *rest = trips.outgoing + MESSAGE_BYTES - trips.unsent;
        ssize_t wrote = send(trips.fd, rest, trips.unsent, MSG_NOSIGNAL);
        if (wrote < 0 && errno == EAGAIN)
            return;
        if (wrote < 0)
            trips.lost = strerror(errno);
        else
            trips.unsent -= (uint64_t)wrote;
    }
}

static void trips_send(void)
{
    if (trips.unsent > 0 || trips.sent - trips.received >= OUTSTANDING_MAX ||
        trips.sent == MESSAGES_MAX) {
        trips.skipped++;
        return;
    }
    fill_message(trips.sent, trips.outgoing);
    trips.unsent = MESSAGE_BYTES;
    trips.sent_ns[trips.sent++] = now_ns();
    trips_push();
}

static void see_silence(uint64_t now)
{
    if (trips.heard_ns && now - trips.heard_ns > trips.silence_ns) {
        trips.silence_ns = now - trips.heard_ns;
        trips.silence_at_ns = clock_ns(CLOCK_REALTIME) - trips.silence_ns;
    }
}

static void trips_receive(void)
{
    static uint8_t answer[MESSAGE_BYTES];
    uint8_t question[MESSAGE_BYTES];
    ssize_t got = recv(trips.fd, answer + trips.partial, MESSAGE_BYTES - trips.partial, 0);
    uint64_t now = now_ns();

    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        trips.lost = got == 0 ? "closed by the other side" : strerror(errno);
        return;
    }
    see_silence(now);
    trips.heard_ns = now;
    trips.partial += (uint64_t)got;
    if (trips.partial < MESSAGE_BYTES)
        return;
    trips.partial = 0;
    if (trips.received == trips.sent) {
        trips.wrong++; /* unasked */
        return;
    }
    fill_message(trips.received, question);
    trips.wrong += trips.random == (memcmp(question, answer, MESSAGE_BYTES) == 0);
    trips.trip_ns[trips.received] = now - trips.sent_ns[trips.received];
    trips.received++;
}

static void on_term(int unused)
{
    (void)unused;
    ended = 1;
}

/* A signal between the test of `ended` and the wait is noticed at the next message. */
static void wait_until(uint64_t due_ns)
{
    uint64_t now = now_ns(), left = due_ns > now ? due_ns - now : 0;
    struct timespec timeout = {.tv_sec = (time_t)(left / NS_PER_S), .tv_nsec = (long)(left % NS_PER_S)};
    struct pollfd wait = {.fd = trips.fd, .events = POLLIN};

    if (trips.unsent > 0)
        wait.events |= POLLOUT;
    if (ppoll(&wait, 1, &timeout, NULL) <= 0)
        return;
    if (wait.revents & POLLOUT)
        trips_push();
    if (wait.revents & ~POLLOUT)
        trips_receive();
}

static int trips_run(char **word)
{
    uint64_t rate = number(word[2], 100000), random = (uint64_t)getpid() | 1;
    uint64_t mean = NS_PER_S / (rate ? rate : 1), last;

    signal(SIGTERM, on_term);
    trips.random = strcmp(word[4], "random") == 0;
    trips.fd = connect_to(word[0], word[1]);
    say_ready();
    uint64_t due = now_ns(), end = due + number(word[3], 120000) * NS_PER_MS;
    while (!trips.lost && !ended && now_ns() < end) {
        if (now_ns() >= due) {
            trips_send();
            due += mean / 2 + next_random(&random) % (mean + 1);
        }
        wait_until(due < end ? due : end);
    }
    last = now_ns() + ANSWER_MS_MAX * NS_PER_MS;
    while (!trips.lost && trips.received < trips.sent && now_ns() < last)
        wait_until(last);
    if (trips.received < trips.sent)
        see_silence(now_ns());
    printf("{\"sent\":%lu,\"received\":%lu,\"skipped\":%lu,\"wrong\":%lu,\"lost\":\"%s\","
           "\"silenceUs\":%lu,\"silenceAtUs\":%lu,\"tripsUs\":[",
           trips.sent, trips.received, trips.skipped, trips.wrong, trips.lost ? trips.lost : "",
           trips.silence_ns / 1000, trips.silence_at_ns / 1000);
    for (uint64_t i = 0; i < trips.received; i++)
        printf("%s%.1f", i ? "," : "", (double)trips.trip_ns[i] / 1000);
    puts("]}");
    return 0;
}

/* Waits for an event at most until `end_ns`; false when there was none. */
static bool wait_for(int fd, short events, uint64_t end_ns)
{
    struct pollfd wait = {.fd = fd, .events = events};
    uint64_t now = now_ns();

    return now < end_ns && poll(&wait, 1, (int)((end_ns - now) / NS_PER_MS) + 1) > 0;
}

/* The instant that is `text` milliseconds later. */
static uint64_t later(uint64_t ns, const char *text)
{
    return ns + number(text, 120000) * NS_PER_MS;
}

static int say_transfer(uint64_t bytes, uint64_t ns)
{
    printf("{\"bytes\":%lu,\"us\":%lu}\n", bytes, ns / 1000);
    return 0;
}

/* Until `end_ns`; returns the bytes read. */
static uint64_t read_until(int fd, uint64_t end_ns)
{
    uint64_t bytes = 0;

    while (wait_for(fd, POLLIN, end_ns)) {
        ssize_t got = recv(fd, block, sizeof block, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            fail("the guest ended the transfer");
        bytes += got > 0 ? (uint64_t)got : 0;
    }
    return bytes;
}

static int fetch(char **word)
{
    int fd = connect_to(word[0], word[1]);

    if (send(fd, BULK_REQUEST, strlen(BULK_REQUEST), MSG_NOSIGNAL) < 0)
        fail("send");
    read_until(fd, later(now_ns(), word[2]));
    uint64_t start = now_ns(), bytes = read_until(fd, later(start, word[3]));
    return say_transfer(bytes, now_ns() - start);
}

/* Reads a line, without its end, into `block`. */
static void read_line(int fd, uint64_t end_ns)
{
    size_t length = 0;

    for (;;) {
        if (!wait_for(fd, POLLIN, end_ns)) {
            errno = ETIMEDOUT;
            fail("answer");
        }
        ssize_t got = recv(fd, block + length, sizeof block - 1 - length, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            fail("the guest closed the connection");
        length += got > 0 ? (size_t)got : 0;
        block[length] = '\0';
        char *end = strchr((char *)block, '\n');
        if (end) {
            *end = '\0';
            return;
        }
    }
}

/* Until `end_ns`; returns the bytes written. */
static uint64_t write_until(int fd, uint64_t end_ns)
{
    uint64_t bytes = 0;

    while (wait_for(fd, POLLOUT, end_ns)) {
        ssize_t wrote = send(fd, block, sizeof block, MSG_NOSIGNAL);
        if (wrote < 0 && errno != EAGAIN)
            fail("send");
        bytes += wrote > 0 ? (uint64_t)wrote : 0;
    }
    return bytes;
}

static uint64_t acknowledged(int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
        fail("TCP_INFO");
    return info.tcpi_bytes_acked;
}

static int feed(char **word)
{
    int fd = connect_to(word[0], word[1]);

    memset(block, 'x', sizeof block);
    uint64_t wrote = write_until(fd, later(now_ns(), word[2]));
    uint64_t start = now_ns(), before = acknowledged(fd);
    wrote += write_until(fd, later(start, word[3]));
    uint64_t bytes = acknowledged(fd) - before, ns = now_ns() - start;
    shutdown(fd, SHUT_WR);
    read_line(fd, now_ns() + ASK_MS_MAX * NS_PER_MS);
    if (strtoull((char *)block, NULL, 10) != wrote) {
        fprintf(stderr, "probe: sent %lu bytes, the guest says %s\n", wrote, (char *)block);
        return 1;
    }
    return say_transfer(bytes, ns);
}

/* The guest answers with words or JSON; they become strings of JSON. */
static int ask(int count, char **word)
{
    int fd = connect_to(word[0], word[1]);

    printf("{\"answers\":[");
    for (int i = 2; i < count; i++) {
        char line[512];
        int length = snprintf(line, sizeof line, "%s\n", word[i]);
        uint64_t start = now_ns();
        if (send(fd, line, (size_t)length, MSG_NOSIGNAL) != length)
            fail("send");
        read_line(fd, start + ASK_MS_MAX * NS_PER_MS);
        uint64_t us = (now_ns() - start) / 1000;
        printf("%s{\"us\":%lu,\"text\":\"", i > 2 ? "," : "", us);
        for (const uint8_t *at = block; *at; at++) {
            if (*at == '"' || *at == '\\')
                putchar('\\');
            if (*at >= ' ')
                putchar(*at);
        }
        printf("\"}");
    }
    puts("]}");
    return 0;
}

static int first_frame(char **word)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)), on = 1;
    struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                  .sll_protocol = htons(ETH_P_ALL),
                                  .sll_ifindex = (int)if_nametoindex(word[0])};
    uint64_t end = now_ns() + number(word[2], 120000) * NS_PER_MS;
    uint8_t mac[6];

    if (sscanf(word[1], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3, mac + 4,
               mac + 5) != 6 ||
        fd < 0 || setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) < 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail(word[0]);
    say_ready();
    while (wait_for(fd, POLLIN, end)) {
        char control[256];
        struct sockaddr_ll from;
        struct iovec piece = {.iov_base = block, .iov_len = 64};
        struct msghdr message = {.msg_name = &from,
                                 .msg_namelen = sizeof from,
                                 .msg_iov = &piece,
                                 .msg_iovlen = 1,
                                 .msg_control = control,
                                 .msg_controllen = sizeof control};
        ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT);
        struct cmsghdr *stamp = CMSG_FIRSTHDR(&message);
        if (got < 12 || from.sll_pkttype == PACKET_OUTGOING || memcmp(block + 6, mac, 6) != 0 ||
            !stamp || stamp->cmsg_type != SO_TIMESTAMPNS)
            continue;
        struct timespec at;
        memcpy(&at, CMSG_DATA(stamp), sizeof at);
        printf("{\"atUs\":%lu}\n", (uint64_t)at.tv_sec * 1000000u + (uint64_t)at.tv_nsec / 1000);
        return 0;
    }
    puts("{\"atUs\":0}");
    return 0;
}

int main(int count, char **word)
{
    alarm(LIFE_S_MAX);
    prctl(PR_SET_TIMERSLACK, 1);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (count == 7 && strcmp(word[1], "trips") == 0)
        return trips_run(word + 2);
    if (count == 6 && strcmp(word[1], "fetch") == 0)
        return fetch(word + 2);
    if (count == 6 && strcmp(word[1], "feed") == 0)
        return feed(word + 2);
    if (count >= 5 && strcmp(word[1], "ask") == 0)
        return ask(count - 2, word + 2);
    if (count == 5 && strcmp(word[1], "first") == 0)
        return first_frame(word + 2);
    fprintf(stderr, "probe: expected trips, fetch, feed, ask or first; see probe.c\n");
    return 2;
}
