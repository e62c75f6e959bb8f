/* The table of cases, walked one by one. */
#pragma once

#include "normlab/verify.h"

enum { NL_V_OPERATION = 24 }; /* characters of an operation's name, with its end */

typedef int (*nl_verify_visit)(void *context, const char *operation, const nl_verify_case *c,
                               nl_error *err);

/* Calls `visit` with each case, until one call fails: its code is returned. */
int nl_verify_each(nl_verify_visit visit, void *context, nl_error *err);
