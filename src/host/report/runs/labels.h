/* Short labels of names that may be long: what stands beside a curve has to tell it from all
 * others.
 */
#pragma once

#include "stats/variants.h" // nl_label

/* labels[i] stands for names[i] (UTF-8, all different): the name itself where it fits, else without
 * its middle; where that is another's label too, its beginning and the part that differs, and with
 * a number where even those agree. No two are equal. */
void nl_labels_make(nl_label *labels, const char *const *names, int n);

/* Characters of a text in UTF-8. */
int nl_text_width(const char *text);
