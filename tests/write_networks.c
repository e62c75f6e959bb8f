/* write_networks DIR FIRST COUNT: the configs of random networks, DIR/random-SEED.yaml each, and a
 * small data set, DIR/data, for programs that compare normlab with something else. Of the seeds from
 * FIRST on those whose networks read pictures like MNIST's, as the data set holds; prints them. */
#include <stdio.h>    // fprintf
#include <stdlib.h>   // strtoul
#include <string.h>   // memset
#include <sys/stat.h> // mkdir

#include "normlab/random_net.h"
#include "support/idx_set.h"

enum { MACS = 150000, TRAIN = 200, TEST = 20 };

/* Whether nothing is said of the picture. */
static bool reads_mnist(const nl_random_net *net) {
    static const char *const keys[] = {"data.set",         "data.shape", "data.classes",
                                       "data.class_names", "data.mean",  "data.std"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (*net->values[nl_random_row(keys[i])]) return false;
    return true;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: write_networks DIR FIRST COUNT\n");
        return 2;
    }
    const uint32_t first = (uint32_t)strtoul(argv[2], NULL, 10);
    const uint32_t count = (uint32_t)strtoul(argv[3], NULL, 10);
    char path[1024];
    mkdir(argv[1], 0777);
    snprintf(path, sizeof path, "%s/data", argv[1]);
    idx_set_write(path, TRAIN, TEST, false);
    for (uint32_t written = 0, seed = first; written < count; seed++) {
        nl_random_net net;
        nl_random_net_draw(&net, seed, MACS);
        if (!reads_mnist(&net)) continue;
        written++;
        printf("%u\n", seed);
        memset(net.by_set, 0, sizeof net.by_set); /* all in the file */
        char *sets, *text = nl_random_net_text(&net, &sets);
        snprintf(path, sizeof path, "%s/random-%u.yaml", argv[1], net.seed);
        idx_set_save(path, text, strlen(text), false);
        free(text);
        free(sets);
    }
    return 0;
}
