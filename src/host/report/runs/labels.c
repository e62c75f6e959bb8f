/* Labels. Everything is counted in characters and cut between them, never inside one. */
#include "labels.h"

#include <stdbool.h> // bool
#include <stdio.h>   // snprintf
#include <string.h>  // strcmp

static const char cut[] = "…";

static bool starts_character(char byte) {
    return ((unsigned char)byte & 0xC0) != 0x80; /* not a continuation byte of UTF-8 */
}

int nl_text_width(const char *text) {
    int width = 0;
    for (; *text; text++) width += starts_character(*text);
    return width;
}

/* The byte at which character `n` begins. */
static size_t byte_of(const char *text, int n) {
    size_t at = 0;
    while (text[at] && (n > 0 || !starts_character(text[at]))) {
        at++;
        if (starts_character(text[at])) n--;
    }
    return at;
}

/* A name as it is, or with its middle left out. */
static nl_label without_middle(const char *name) {
    enum { HEAD = NL_LABEL_WIDTH / 2, TAIL = NL_LABEL_WIDTH - HEAD - 1 };
    nl_label label;
    const int width = nl_text_width(name);
    if (width <= NL_LABEL_WIDTH)
        snprintf(label.text, sizeof label.text, "%s", name);
    else
        snprintf(label.text, sizeof label.text, "%.*s%s%s", (int)byte_of(name, HEAD), name, cut,
                 name + byte_of(name, width - TAIL));
    return label;
}

/* How a name begins, and what stands around its character `at`. */
static nl_label around(const char *name, int at) {
    enum { HEAD = 8, WINDOW = NL_LABEL_WIDTH - HEAD - 2, BEFORE = 4 };
    nl_label label;
    const int first = at > HEAD + BEFORE ? at - BEFORE : HEAD;
    const size_t from = byte_of(name, first), to = byte_of(name, first + WINDOW);
    snprintf(label.text, sizeof label.text, "%.*s%s%.*s%s", (int)byte_of(name, HEAD), name,
             first > HEAD ? cut : "", (int)(to - from), name + from, name[to] ? cut : "");
    return label;
}

/* Characters that two texts begin with alike. */
static int common(const char *a, const char *b) {
    size_t same = 0;
    while (a[same] && a[same] == b[same]) same++;
    int width = 0;
    for (size_t i = 0; i < same; i++) width += starts_character(a[i]);
    return width > 0 && !starts_character(a[same]) ? width - 1 : width; /* no half a character */
}

static bool equal(const nl_label *a, const nl_label *b) {
    return strcmp(a->text, b->text) == 0;
}

/* A label that is another's gets a number in front, the first that makes it unlike all before. */
static void tell_apart(nl_label *labels, int i) {
    const nl_label plain = labels[i];
    for (int number = 2, j = 0; j < i; j++) {
        if (!equal(&labels[j], &labels[i])) continue;
        snprintf(labels[i].text, sizeof labels[i].text, "%d: %.*s", number++,
                 (int)byte_of(plain.text, NL_LABEL_WIDTH - 8), plain.text);
        j = -1;
    }
}

void nl_labels_make(nl_label *labels, const char *const *names, int n) {
    for (int i = 0; i < n; i++) {
        const nl_label middle = without_middle(names[i]);
        int same = -1; /* characters that all names of this label begin with */
        for (int j = 0; j < n; j++) {
            if (j == i) continue;
            const nl_label other = without_middle(names[j]);
            if (!equal(&middle, &other)) continue;
            const int begin = common(names[i], names[j]);
            if (same < 0 || begin < same) same = begin;
        }
        labels[i] = same < 0 ? middle : around(names[i], same);
        tell_apart(labels, i);
    }
}
