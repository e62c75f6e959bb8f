/* The list of a problem's candidates; see conv_graph.h. */
#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // strcmp

#include "conv_graph.h"
#include "base/grow.h" // nl_grow

void nl_conv_candidates_add(nl_conv_candidates *list, const char *tag) {
    for (int i = 0; i < list->count; i++) {
        if (strcmp(list->tags[i], tag) == 0) return;
    }
    list->tags = nl_grow(list->tags, list->count, sizeof *list->tags, "convolution candidates");
    snprintf(list->tags[list->count++], NL_TAG, "%s", tag);
}

void nl_conv_candidates_free(nl_conv_candidates *list) {
    free(list->tags);
    *list = (nl_conv_candidates){0};
}
