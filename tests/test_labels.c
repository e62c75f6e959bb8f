/* Labels of names that are too long to stand beside a curve. */
#include <criterion/criterion.h>
#include <stdio.h>  // snprintf
#include <string.h> // strcmp

#include "report/runs/labels.h"

static void expect(const char *const *names, int n) {
    nl_label labels[64];
    cr_assert(n <= 64);
    nl_labels_make(labels, names, n);
    for (int i = 0; i < n; i++) {
        cr_expect(nl_text_width(labels[i].text) <= NL_LABEL_WIDTH, "%s", labels[i].text);
        cr_expect(*labels[i].text);
        if (nl_text_width(names[i]) <= NL_LABEL_WIDTH) cr_expect_str_eq(labels[i].text, names[i]);
        for (int j = 0; j < i; j++) cr_expect_str_neq(labels[i].text, labels[j].text);
    }
}

Test(labels, short_names_stay) {
    static const char *const names[] = {"bn_l1", "ln", "exactly_twenty_eight_letters"};
    expect(names, 3);
}

Test(labels, names_that_differ_at_one_end) {
    static const char *const end[] = {"bn_small_net_rotate7_lr0.01_wd0.0001_l1_0.001",
                                      "bn_small_net_rotate7_lr0.01_wd0.0001_l1_0.0001"};
    static const char *const begin[] = {"group_norm_with_a_long_name_and_the_same_end",
                                        "layer_norm_with_a_long_name_and_the_same_end"};
    expect(end, 2);
    expect(begin, 2);
    nl_label label[2];
    nl_labels_make(label, end, 2);
    cr_expect(strncmp(label[0].text, "bn_small", 8) == 0 && strstr(label[0].text, "l1_0.001"));
}

Test(labels, names_that_differ_in_the_middle) {
    static const char *const names[] = {
        "bn_on_mnist_with_rotation_of_7_degrees_and_l1_of_0.001_twenty_epochs",
        "bn_on_mnist_with_rotation_of_9_degrees_and_l1_of_0.001_twenty_epochs",
        "gn_on_mnist_with_rotation_of_7_degrees_and_l1_of_0.001_twenty_epochs", "gn"};
    expect(names, 4);
    nl_label label[4];
    nl_labels_make(label, names, 4);
    cr_expect(strstr(label[0].text, "of_7") && strstr(label[1].text, "of_9"), "%s, %s",
              label[0].text, label[1].text);
}

/* Two places of difference, one of them outside of what is shown: numbers tell them apart. */
Test(labels, names_that_no_part_tells_apart) {
    char text[64][100];
    const char *names[64];
    for (int i = 0; i < 64; i++) {
        snprintf(text[i], sizeof text[i],
                 "net_of_%d_layers_with_dropout_and_a_rate_of_%d_and_more_of_it", 10 + i / 8,
                 10 + i % 8);
        names[i] = text[i];
    }
    expect(names, 64);
}

Test(labels, characters_are_not_cut) {
    static const char *const names[] = {"äöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöü1äöüäöüäöüäöüäöüäöüä",
                                        "äöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöü2äöüäöüäöüäöüäöüäöüä",
                                        "äöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöü€äöüäöüäöüäöüäöüäöüä"};
    expect(names, 3);
    nl_label labels[3];
    nl_labels_make(labels, names, 3);
    for (int i = 0; i < 3; i++) /* a letter is C3 and one more byte, or one of three */
        for (const char *c = labels[i].text; *c; c++)
            if ((unsigned char)*c == 0xC3) cr_expect(((unsigned char)c[1] & 0xC0) == 0x80);
}
