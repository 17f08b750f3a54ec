/* Spreads work evenly over time. */
#ifndef PACER_H
#define PACER_H
#include <stdint.h>

struct pacer {
    uint64_t rate;     /* per second, at least 1 */
    uint64_t start_ns; /* of the schedule; 0 before the first wait */
    uint64_t done;     /* since the start of the schedule */
};

/*
 * Sleeps until something is due and returns how much. Somebody who was stopped for more than 100
 * ms does not catch up: the schedule starts again, so that a failover is not followed by a burst
 * that no checkpoint interval would see in normal running.
 */
uint64_t pacer_wait(struct pacer *pacer);
#endif
