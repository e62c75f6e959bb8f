/* Which process: enough to tell later whether it is still there. */
#pragma once

#include <stdbool.h> // bool
#include <stddef.h>  // size_t

typedef struct nl_process {
    long pid;
    unsigned long long start; /* ticks since the machine's start */
    char boot[40];            /* id of that start; "-": not known */
    char space[40];           /* that pid and start belong to: a container has its own */
    char host[65];            /* for people to read: not unique */
} nl_process;

typedef enum nl_fate { NL_LIVES, NL_DEAD, NL_UNKNOWN } nl_fate;

void nl_process_self(nl_process *process);

/* One line without its end; nl_process_parse reads it back, and tells whether it could. */
void nl_process_format(char *text, size_t size, const nl_process *process);
bool nl_process_parse(nl_process *process, const char *text);

/* Known only of processes of this machine, since its last start, and with numbers as here. */
nl_fate nl_process_fate(const nl_process *process);
