/* Which file a CONFIG of the command line means: one that is there; or, where the name has no
 * slash, one that was installed with the program. `.yaml` may be left out.
 */
#pragma once

#include "normlab/config.h" // nl_config

/* nl_config_load of that file. Looked at, in this order: NAME, NAME.yaml, and both of them in the
 * folder of the installed configs. Where there is none of them, the error is NAME's. */
int nl_config_load_named(nl_config *config, const char *name, nl_error *err);
