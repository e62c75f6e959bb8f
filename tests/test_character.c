/* Text of others: what of it can stand in a line, in HTML, in XML and in gnuplot's strings. */
#include <criterion/criterion.h>
#include <stdio.h>  // open_memstream
#include <stdlib.h> // free
#include <string.h> // strlen

#include "base/character.h"
#include "normlab/error.h"
#include "report/charts/gnuplot.h" // nl_gnuplot_quote
#include "report/text/text.h"      // nl_html

Test(character, printable_ones) {
    static const char *const all[] = {" ",
                                      "~",
                                      "\xc2\xa0",
                                      "\xdf\xbf",
                                      "\xe0\xa0\x80",
                                      "\xed\x9f\xbf",
                                      "\xee\x80\x80",
                                      "\xef\xbf\xbd",
                                      "\xf0\x90\x80\x80",
                                      "\xf0\x9f\xbf\xbe",
                                      "\xf4\x8f\xbf\xbf"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        bool printable = false;
        cr_expect(nl_character(&printable, all[i]) == strlen(all[i]) && printable, "%zu", i);
    }
}

Test(character, others) {
    static const struct {
        const char *text;
        size_t bytes;
    } all[] = {{"\x01", 1},
               {"\n", 1},
               {"\x7f", 1},
               {"\xc2\x80", 2},
               {"\xc2\x9f", 2},
               {"\xef\xbf\xbe", 3},
               {"\xef\xbf\xbf", 3}, /* no UTF-8: */
               {"\x80", 1},
               {"\xc3", 1},
               {"\xc3(", 1},
               {"\xc1\xbf", 1},
               {"\xe2\x82", 1},
               {"\xe0\x9f\xbf", 1},
               {"\xed\xa0\x80", 1},
               {"\xf0\x8f\xbf\xbf", 1},
               {"\xff", 1},
               {"\xf4\x90\x80\x80", 1},
               {"\xf8\x90\x80\x80", 1}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        bool printable = true;
        cr_expect(nl_character(&printable, all[i].text) == all[i].bytes && !printable, "%zu", i);
    }
}

static void written_as(void (*write)(FILE *out, const char *text), const char *text,
                       const char *wanted) {
    char *got = NULL;
    size_t size;
    FILE *out = open_memstream(&got, &size);
    cr_assert(out);
    write(out, text);
    fclose(out);
    cr_expect(strcmp(got, wanted) == 0, "'%s' instead of '%s'", got, wanted);
    free(got);
}

Test(character, what_no_place_can_hold_is_replaced) {
    written_as(nl_html, "a\x1b<\n\xef\xbf\xbf\xc3\xa9\xff",
               "a\xef\xbf\xbd&lt; \xef\xbf\xbd\xc3\xa9\xef\xbf\xbd");
    written_as(nl_markdown, "a\x1b|\n\xff\xc3\xa9", "a\xef\xbf\xbd\\| \xef\xbf\xbd\xc3\xa9");
    written_as(nl_gnuplot_quote, "a'\x1b\xc3\xa9", "'a'.\"'\".'\xef\xbf\xbd\xc3\xa9'");
    /* what ends a section of XML does not stand in its text */
    written_as(nl_gnuplot_quote, "]]>]>", "']]\xe2\x81\xa0>]\xe2\x81\xa0>'");
}

Test(character, messages_are_one_line) {
    nl_error err;
    char *said = NULL;
    size_t size;
    FILE *before = stderr, *kept = open_memstream(&said, &size);
    cr_assert(kept);
    stderr = kept;
    nl_fail(&err, NL_EDATA, "a\nb", "c\x1b[2J");
    nl_hint(&err, "d\re");
    nl_error_print(&err);
    nl_warn("f\x07", "g\n%s", "h\x1b");
    stderr = before;
    fclose(kept);
    cr_expect_str_eq(said, "normlab: a?b: c?[2J\n         hint: d?e\n"
                           "normlab: f?: warning: g?h?\n");
    free(said);
}
