/* The services of the workload. Each has its own threads; workload.c starts and describes them. */
#ifndef SERVICES_H
#define SERVICES_H
#include <stdbool.h>
#include <stddef.h>

/* What a control port offers. */
struct service {
    const char *name;
    unsigned port; /* before the port base is added */
    /*
     * The words of a command other than `status`; NULL when it went well, else what was wrong
     * with it.
     */
    const char *(*command)(int words, char **word);
    /* Writes one JSON object. */
    void (*status)(char *text, size_t size);
    /* What `history FROM TO` hands out; NULL when the service has none. */
    struct history *history;
};

extern struct service records_service, cas_service, dirty_service, build_service,
    streams_service;

void records_init(void);
void cas_init(void);
void dirty_init(void);
void build_init(void);
void echo_init(unsigned port_base);
void bulk_init(unsigned port_base);
void random_init(unsigned port_base);
void work_init(unsigned port_base);

/* For the status of streams_service. */
void echo_count(unsigned long *connections, unsigned long *bytes);
#endif
