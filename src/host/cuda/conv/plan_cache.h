/* The cache of timed convolution plans: $XDG_CACHE_HOME/normlab/conv-plans.json (else ~/.cache),
 * one object {device and library versions: {problem: tag}}. Losing it costs a new timing, so what
 * goes wrong with it is a warning at most. Two programs may write at once: the file is read again
 * before each write and replaced as a whole.
 */
#pragma once

#include <stddef.h> // size_t

/* The tag kept for a problem; false: none. */
int nl_plan_cache_find(char *tag, size_t size, const char *device, const char *problem);

/* Adds the choices, a JSON object {problem: tag}. */
struct json_t;
void nl_plan_cache_store(const char *device, struct json_t *choices);
