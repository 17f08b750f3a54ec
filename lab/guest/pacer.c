#include "pacer.h"
#include <time.h>

#define SECOND_NS 1000000000u
#define TICK_NS 1000000u
#define BEHIND_MAX_NS 100000000u

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static void sleep_until(uint64_t at_ns)
{
    struct timespec at = {
        .tv_sec = (time_t)(at_ns / SECOND_NS),
        .tv_nsec = (long)(at_ns % SECOND_NS),
    };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0)
        ;
}

/* value * multiplier / divisor, without overflow for the numbers used here. */
static uint64_t scale(uint64_t value, uint64_t multiplier, uint64_t divisor)
{
    return value / divisor * multiplier + value % divisor * multiplier / divisor;
}

uint64_t pacer_wait(struct pacer *pacer)
{
    uint64_t now = now_ns();

    if (pacer->start_ns == 0)
        pacer->start_ns = now;
    uint64_t next = pacer->start_ns + scale(pacer->done + 1, SECOND_NS, pacer->rate);
    sleep_until(next > now + TICK_NS ? next : now + TICK_NS);
    now = now_ns();
    if (now > next + BEHIND_MAX_NS) {
        pacer->start_ns = now;
        pacer->done = 0;
        return 1;
    }
    uint64_t total = scale(now - pacer->start_ns, pacer->rate, SECOND_NS);
    uint64_t due = total > pacer->done ? total - pacer->done : 0;
    pacer->done += due;
    return due;
}
