/*
 * What runs inside the protected guest: services that clients outside can hold to their word. All
 * of them are started; records, cas, dirty and build do nothing until they are told to.
 *
 * Usage: workload [WORD...]   Words, in any order; others are named on stderr and ignored:
 *   idle                              nothing; for command lines that must name a workload
 *   port-base=N                       added to every port below (default 0)
 *   records=RATE:IP:PORT              as if told `start RATE IP PORT`
 *   cas=IP:PORT:INTERVAL_US           as if told `start IP PORT INTERVAL_US`
 *   dirty=PAGES_PER_S:SPAN_MIB        as if told `start PAGES_PER_S SPAN_MIB`
 *   build=UNITS_PER_S                 as if told `start UNITS_PER_S`
 *
 * TCP ports: 7 echo; 8 random bytes instead (random.c); 19 and 9 bulk transfers (bulk.c); 21 a fixed
 * amount of work (work.c); control ports 1000 all, 1001 records, 1002 cas, 1003 dirty, 1004 streams
 * (counts of echo, bulk and sink), 1005 build.
 *
 * Control protocol: a command is a line of words; the answer is a line of JSON, the service's
 * status after the command, or {"error":"..."}.
 *   all       status: the status of every service by its name
 *   records   start RATE IP PORT | stop | status | history FROM TO     RATE in datagrams per second
 *   cas       start IP PORT INTERVAL_US | stop | status | history FROM TO
 *   dirty     start PAGES_PER_S SPAN_MIB | stop | status | verify      verify counts the torn pages
 *   build     start UNITS_PER_S | stop | status                        a unit is 80 pages of an arena and 16 of a file
 *   streams   status
 * `history FROM TO` answers {"run","first","count","last","chain"} and then 16 bytes for each of
 * the `count` nonces from number `first` on; chain is the one before `first`. It hands out what
 * it still has of [FROM, TO]. Sequences are JSON numbers; run ids and chains are 16 hex digits.
 *
 * `workload ready` on stdout: all ports are open.
 */
#include "history.h"
#include "net.h"
#include "services.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORDS_MAX 8
#define CONTROL_ALL_PORT 1000
#define PORT_BASE_MAX 60000

static struct service *const services[] = {
    &records_service,
    &cas_service,
    &dirty_service,
    &build_service,
    &streams_service,
};
#define SERVICES (sizeof services / sizeof *services)

static int split(char *text, const char *separators, char **word)
{
    int words = 0;
    char *rest = NULL;

    for (char *at = text; words < WORDS_MAX; at = NULL) {
        word[words] = strtok_r(at, separators, &rest);
        if (!word[words])
            break;
        words++;
    }
    return words;
}

/* Answers one command; false when the connection is gone. */
static bool answer(struct service *service, int fd, int words, char **word)
{
    char status[1024];
    uint64_t from, to;
    const char *wrong = NULL;

    if (words == 3 && service->history && strcmp(word[0], "history") == 0 &&
        parse_number(word[1], 0, UINT64_MAX, &from) && parse_number(word[2], 0, UINT64_MAX, &to))
        return history_send(service->history, fd, from, to);
    if (words != 1 || strcmp(word[0], "status") != 0)
        wrong = service->command(words, word);
    if (wrong)
        return net_print(fd, "{\"error\":\"%s\"}\n", wrong);
    service->status(status, sizeof status);
    return net_print(fd, "%s\n", status);
}

static void control_serve(int fd, void *context)
{
    struct reader reader = {.fd = fd};
    char *word[WORDS_MAX], *line;

    while ((line = reader_line(&reader)) != NULL) {
        int words = split(line, " \t", word);
        if (words > 0 && !answer(context, fd, words, word))
            return;
    }
}

static void control_all_serve(int fd, void *unused)
{
    struct reader reader = {.fd = fd};
    char text[4096], *line;

    (void)unused;
    while ((line = reader_line(&reader)) != NULL) {
        size_t length = 0;
        for (size_t i = 0; i < SERVICES; i++) {
            length += (size_t)snprintf(text + length, sizeof text - length, "%c\"%s\":",
                                       i ? ',' : '{', services[i]->name);
            services[i]->status(text + length, sizeof text - length);
            length += strlen(text + length);
        }
        if (strcmp(line, "status") != 0)
            snprintf(text, sizeof text, "{\"error\":\"expected status\"");
        if (!net_print(fd, "%s}\n", text))
            return;
    }
}

/* `name=A:B:C` is the command `start A B C` of the service `name`. */
static void start_up_word(const char *text)
{
    char copy[LINE_BYTES], *word[WORDS_MAX];
    size_t name = strcspn(text, "=");
    const char *wrong = "no such word";

    if (strcmp(text, "idle") == 0 || strncmp(text, "port-base=", 10) == 0)
        return;
    for (size_t i = 0; i < SERVICES && text[name] == '='; i++) {
        if (strlen(services[i]->name) == name && strncmp(services[i]->name, text, name) == 0) {
            snprintf(copy, sizeof copy, "start:%s", text + name + 1);
            int words = split(copy, ":", word);
            wrong = services[i]->command(words, word);
        }
    }
    if (wrong)
        fprintf(stderr, "workload: %s: %s\n", text, wrong);
}

int main(int argc, char **argv)
{
    uint64_t port_base = 0;

    signal(SIGPIPE, SIG_IGN);
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "port-base=", 10) == 0 &&
            !parse_number(argv[i] + 10, 0, PORT_BASE_MAX, &port_base)) {
            fprintf(stderr, "workload: %s: expected a number from 0 to %d\n", argv[i],
                    PORT_BASE_MAX);
            return 2;
        }
    }
    records_init();
    cas_init();
    dirty_init();
    build_init();
    echo_init((unsigned)port_base);
    bulk_init((unsigned)port_base);
    random_init((unsigned)port_base);
    work_init((unsigned)port_base);
    for (size_t i = 0; i < SERVICES; i++)
        net_serve((unsigned)port_base + services[i]->port, control_serve, services[i]);
    net_serve((unsigned)port_base + CONTROL_ALL_PORT, control_all_serve, NULL);
    for (int i = 1; i < argc; i++)
        start_up_word(argv[i]);
    puts("workload ready");
    fflush(stdout);
    for (;;)
        pause();
}
