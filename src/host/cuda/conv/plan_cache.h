/* The cache of timed convolution plans: $XDG_CACHE_HOME/normlab/conv-plans.json (else ~/.cache),
 * one object {device and library versions: {problem: tag}}. Losing it costs a new timing, so what
 * goes wrong with it is a warning at most. Two programs may write at once: the file is read again
 * before each write and replaced as a whole.
 */
#pragma once

#include <stddef.h> // size_t

/* The tag kept for a problem; false: none. */
int nl_plan_cache_find(char *tag, size_t size, const char *device, const char *problem);

/* Waits until no other process (or thread) holds the lock, conv-plans.json.lock beside the file, and
 * holds it: around a choice that all who want it shall make once. After a second a warning tells of it. Where there is no cache, or no
 * lock on its file system, -1: then each makes its own. */
int nl_plan_cache_lock(void);
void nl_plan_cache_unlock(int lock);

/* Adds the choices, a JSON object {problem: tag}. */
struct json_t;
void nl_plan_cache_store(const char *device, struct json_t *choices);
