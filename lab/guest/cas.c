/*
 * Drives compare-and-swap against a register outside, over one TCP connection, one operation at a
 * time:
 *
 *   guest: GET                                answer: VALUE current
 *   guest: CAS RUN:SEQUENCE old new           answer: OK | NO current
 *
 * Values are 32 hex digits; new is the nonce of SEQUENCE in the history. The guest is the only
 * writer, so every NO is a contradiction: the register holds something that this execution never
 * wrote, or has lost what it wrote. Before the first connection is made it is tried again and
 * again; a connection that is lost is counted and not made again.
 */
#include "history.h"
#include "net.h"
#include "services.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define VALUE_TEXT (2 * NONCE_BYTES + 1)
#define INTERVAL_US_MAX 60000000u
#define STOP_WAIT_S 3

static struct history history;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool wanted; /* by the last `start` or `stop` */
    bool active; /* the thread is at work; may outlast wanted by one operation */
    int fd;      /* -1 when not connected */
    struct sockaddr_in to;
    uint64_t interval_us;
    uint64_t applied, contradictions, connections_lost, connect_failures;
    char current[VALUE_TEXT]; /* what the register holds as far as this execution knows */
} cas = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .fd = -1};

static bool still_wanted(void)
{
    pthread_mutex_lock(&cas.lock);
    bool wanted = cas.wanted;
    pthread_mutex_unlock(&cas.lock);
    return wanted;
}

/* A connection, or -1 when it was stopped before there was one. */
static int cas_connect(void)
{
    while (still_wanted()) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, (struct sockaddr *)&cas.to, sizeof cas.to) == 0) {
            net_no_delay(fd);
            return fd;
        }
        if (fd >= 0)
            close(fd);
        pthread_mutex_lock(&cas.lock);
        cas.connect_failures++;
        pthread_mutex_unlock(&cas.lock);
        usleep(200000);
    }
    return -1;
}

static bool take_value(const char *text)
{
    if (strlen(text) != VALUE_TEXT - 1 || strspn(text, "0123456789abcdef") != VALUE_TEXT - 1)
        return false;
    memcpy(cas.current, text, VALUE_TEXT);
    return true;
}

/* One compare-and-swap; false when the connection is gone or the answer makes no sense. */
static bool cas_once(struct reader *reader)
{
    char value[VALUE_TEXT];
    struct entry entry = history_add(&history);

    for (int i = 0; i < NONCE_BYTES; i++)
        snprintf(value + 2 * i, 3, "%02x", entry.nonce[i]);
    if (!net_print(reader->fd, "CAS %016" PRIx64 ":%" PRIu64 " %s %s\n", history.run,
                   history.last, cas.current, value))
        return false;
    const char *answer = reader_line(reader);
    if (!answer)
        return false;
    pthread_mutex_lock(&cas.lock);
    bool good = true;
    if (strcmp(answer, "OK") == 0) {
        memcpy(cas.current, value, sizeof value);
        cas.applied++;
    } else {
        cas.contradictions++;
        good = strncmp(answer, "NO ", 3) == 0 && take_value(answer + 3);
    }
    pthread_mutex_unlock(&cas.lock);
    return good;
}

/* Until it is stopped, or the connection is lost: false. */
static bool cas_drive(int fd)
{
    struct reader reader = {.fd = fd};

    if (!net_print(fd, "GET\n"))
        return false;
    const char *answer = reader_line(&reader);
    if (!answer || strncmp(answer, "VALUE ", 6) != 0)
        return false;
    pthread_mutex_lock(&cas.lock);
    bool good = take_value(answer + 6);
    pthread_mutex_unlock(&cas.lock);
    while (good && still_wanted()) {
        good = cas_once(&reader);
        if (good && cas.interval_us > 0)
            usleep((useconds_t)cas.interval_us);
    }
    return good;
}

static void *cas_run(void *unused)
{
    (void)unused;
    for (;;) {
        pthread_mutex_lock(&cas.lock);
        while (!cas.wanted)
            pthread_cond_wait(&cas.changed, &cas.lock);
        cas.active = true;
        pthread_mutex_unlock(&cas.lock);

        int fd = cas_connect();
        pthread_mutex_lock(&cas.lock);
        cas.fd = fd;
        pthread_mutex_unlock(&cas.lock);
        bool good = fd < 0 || cas_drive(fd);

        pthread_mutex_lock(&cas.lock);
        if (!good)
            cas.connections_lost++;
        if (fd >= 0)
            close(fd);
        cas.fd = -1;
        cas.wanted = false;
        cas.active = false;
        pthread_cond_broadcast(&cas.changed);
        pthread_mutex_unlock(&cas.lock);
    }
    return NULL;
}

/*
 * Lets the operation under way end; after STOP_WAIT_S without an answer the connection is closed,
 * and counts as lost.
 */
static const char *cas_stop(void)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STOP_WAIT_S;
    pthread_mutex_lock(&cas.lock);
    cas.wanted = false;
    while (cas.active && pthread_cond_timedwait(&cas.changed, &cas.lock, &until) == 0)
        ;
    bool late = cas.active;
    if (late && cas.fd >= 0)
        shutdown(cas.fd, SHUT_RDWR);
    pthread_mutex_unlock(&cas.lock);
    return late ? "the operation under way was not answered in time" : NULL;
}

static const char *cas_command(int words, char **word)
{
    struct sockaddr_in to;
    uint64_t interval_us;

    if (words == 1 && strcmp(word[0], "stop") == 0)
        return cas_stop();
    if (words != 4 || strcmp(word[0], "start") != 0)
        return "expected start IP PORT INTERVAL_US, stop, status or history FROM TO";
    if (!net_address(word[1], word[2], &to) ||
        !parse_number(word[3], 0, INTERVAL_US_MAX, &interval_us))
        return "expected an IPv4 address, a port and an interval from 0 to 60000000 microseconds";
    pthread_mutex_lock(&cas.lock);
    bool busy = cas.wanted || cas.active;
    if (!busy) {
        cas.to = to;
        cas.interval_us = interval_us;
        cas.wanted = true;
        pthread_cond_broadcast(&cas.changed);
    }
    pthread_mutex_unlock(&cas.lock);
    return busy ? "runs already; stop it first" : NULL;
}

static void cas_status(char *text, size_t size)
{
    pthread_mutex_lock(&cas.lock);
    snprintf(text, size,
             "{\"running\":%s,\"connected\":%s,\"run\":\"%016" PRIx64 "\",\"last\":%" PRIu64
             ",\"applied\":%" PRIu64 ",\"contradictions\":%" PRIu64 ",\"connectionsLost\":%" PRIu64
             ",\"connectFailures\":%" PRIu64 ",\"current\":\"%s\"}",
             cas.wanted ? "true" : "false", cas.fd >= 0 ? "true" : "false", history.run,
             history.last, cas.applied, cas.contradictions, cas.connections_lost,
             cas.connect_failures, cas.current);
    pthread_mutex_unlock(&cas.lock);
}

struct service cas_service = {
    .name = "cas", .port = 1002, .command = cas_command, .status = cas_status, .history = &history};

void cas_init(void)
{
    history_init(&history);
    thread_start(cas_run, NULL);
}
