/* Which sources this program was built from. */
#pragma once

/* The commit, 12 hexadecimal digits; "" where it was built outside a repository. Changes that were
 * not committed do not show. */
const char *nl_commit(void);
