/*
 * Sends numbered records as UDP datagrams at a steady rate. Each is in the history before it is
 * sent. A record, big-endian:
 *
 *    0  u32   magic "CLR1"
 *    4  u32   0
 *    8  u64   run id, random at program start
 *   16  u64   sequence, from 1
 *   24  u128  nonce, drawn for this record
 *   40  u64   chain (history.h)
 */
#include "history.h"
#include "net.h"
#include "pacer.h"
#include "services.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define RECORD_BYTES 48
#define RATE_MAX 1000000u

static struct history history;

static struct {
    /* Held while a batch is sent: after `stop` has answered, nothing more is sent. */
    pthread_mutex_t lock;
    pthread_cond_t started;
    bool running;
    struct pacer pacer;
    struct sockaddr_in to;
    uint64_t failed;
    int fd;
} records = {.lock = PTHREAD_MUTEX_INITIALIZER, .started = PTHREAD_COND_INITIALIZER};

static void send_record(void)
{
    uint8_t datagram[RECORD_BYTES] = {'C', 'L', 'R', '1'};
    struct entry entry = history_add(&history);

    put_u64(datagram + 8, history.run);
    put_u64(datagram + 16, history.last);
    memcpy(datagram + 24, entry.nonce, NONCE_BYTES);
    put_u64(datagram + 40, entry.chain);
    if (sendto(records.fd, datagram, sizeof datagram, 0, (struct sockaddr *)&records.to,
               sizeof records.to) < 0)
        records.failed++;
}

static void *records_run(void *unused)
{
    (void)unused;
    for (;;) {
        pthread_mutex_lock(&records.lock);
        while (!records.running)
            pthread_cond_wait(&records.started, &records.lock);
        struct pacer pacer = records.pacer;
        pthread_mutex_unlock(&records.lock);

        uint64_t due = pacer_wait(&pacer);

        pthread_mutex_lock(&records.lock);
        /* Another `start` may have come in the meantime; its schedule counts then. */
        if (records.running && records.pacer.rate == pacer.rate) {
            records.pacer = pacer;
            while (due-- > 0)
                send_record();
        }
        pthread_mutex_unlock(&records.lock);
    }
    return NULL;
}

static const char *records_command(int words, char **word)
{
    struct sockaddr_in to;
    uint64_t rate;

    if (words == 1 && strcmp(word[0], "stop") == 0) {
        pthread_mutex_lock(&records.lock);
        records.running = false;
        pthread_mutex_unlock(&records.lock);
        return NULL;
    }
    if (words != 4 || strcmp(word[0], "start") != 0)
        return "expected start RATE IP PORT, stop, status or history FROM TO";
    if (!parse_number(word[1], 1, RATE_MAX, &rate) || !net_address(word[2], word[3], &to))
        return "expected a rate from 1 to 1000000, an IPv4 address and a port";
    pthread_mutex_lock(&records.lock);
    records.pacer = (struct pacer){.rate = rate};
    records.to = to;
    records.running = true;
    pthread_cond_signal(&records.started);
    pthread_mutex_unlock(&records.lock);
    return NULL;
}

static void records_status(char *text, size_t size)
{
    pthread_mutex_lock(&records.lock);
    snprintf(text, size,
             "{\"running\":%s,\"run\":\"%016" PRIx64 "\",\"rate\":%" PRIu64 ",\"last\":%" PRIu64
             ",\"failed\":%" PRIu64 "}",
             records.running ? "true" : "false", history.run, records.pacer.rate, history.last,
             records.failed);
    pthread_mutex_unlock(&records.lock);
}

struct service records_service = {
    .name = "records",
    .port = 1001,
    .command = records_command,
    .status = records_status,
    .history = &history,
};

void records_init(void)
{
    history_init(&history);
    records.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (records.fd < 0) {
        perror("workload: socket");
        exit(1);
    }
    thread_start(records_run, NULL);
}
