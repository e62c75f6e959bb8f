/* The processor's name as the system tells it; "CPU" where it tells none. */
#pragma once

#include <stddef.h> // size_t

void nl_processor_name(char *name, size_t size);

/* The cores this process may use. */
int nl_processor_cores(void);
