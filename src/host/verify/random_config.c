/* A drawn network as the config that describes it, and that config read again; see
 * normlab/random_net.h. */
#include <stdio.h>  // fprintf
#include <stdlib.h> // free
#include <string.h> // strlen

#include "normlab/random_net.h"

static void write_layer(FILE *out, const nl_layer_spec *l) {
    if (l->kind == NL_LAYER_AVG_POOL) {
        fputs("    - {pool: average}\n", out);
    } else if (l->kind == NL_LAYER_MAX_POOL) {
        fprintf(out, "    - {pool: max, size: %d, dropout: %s}\n", l->size,
                l->dropout ? "true" : "false");
    } else {
        fprintf(out, "    - {conv: %d, kernel: %d", l->out, l->kernel);
        if (l->pad) fprintf(out, ", pad: %d", l->pad);
        if (l->norm == NL_NORM_OF_MODEL)
            fputs(", norm: true", out);
        else if (l->norm)
            fprintf(out, ", norm: %s", nl_norm_words[l->norm]);
        fprintf(out, ", relu: %s}\n", l->relu ? "true" : "false");
    }
}

static bool in_file(const nl_random_net *net, int row, const char *section) {
    return !strncmp(nl_random_key(row), section, strlen(section)) && net->values[row][0] &&
           !net->by_set[row];
}

/* The section's line, where anything of it stands in the file, and its keys; its name ends in a
 * dot. */
static void write_section(FILE *out, const nl_random_net *net, const char *section,
                          const char *line, const char *indent) {
    bool any = false;
    for (int i = 0; nl_random_key(i); i++) any = any || in_file(net, i, section);
    if (any) fputs(line, out);
    for (int i = 0; nl_random_key(i); i++) {
        const char *leaf = nl_random_key(i) + strlen(section);
        if (in_file(net, i, section) && !strchr(leaf, '.'))
            fprintf(out, "%s%s: %s\n", indent, leaf, net->values[i]);
    }
}

char *nl_random_net_text(const nl_random_net *net, char **sets) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = nl_text_open(&text, &size);
    write_section(out, net, "data.", "data:\n", "  ");
    fputs("model:\n", out);
    write_section(out, net, "model.", "", "  ");
    fputs("  layers:\n", out);
    for (int i = 0; i < net->n_layers; i++) write_layer(out, &net->layers[i]);
    write_section(out, net, "train.", "train:\n", "  ");
    write_section(out, net, "train.schedule.", "  schedule:\n", "    ");
    nl_text_close(out);
    out = nl_text_open(sets, &size);
    for (int i = 0; nl_random_key(i); i++)
        if (net->values[i][0] && net->by_set[i])
            fprintf(out, "%s=%s\n", nl_random_key(i), net->values[i]);
    nl_text_close(out);
    return text;
}

static int apply_sets(nl_config *config, char *sets, nl_error *err) {
    int code = NL_OK;
    char *rest = sets;
    for (char *line; !code && (line = strtok_r(rest, "\n", &rest));)
        code = nl_config_set(config, line, err);
    return code;
}

int nl_random_net_load(nl_config *config, nl_model *model, const nl_random_net *net,
                       nl_error *err) {
    char *sets, *text = nl_random_net_text(net, &sets), name[64];
    FILE *file = fmemopen(text, strlen(text), "r");
    NL_ASSERT(file);
    snprintf(name, sizeof name, "random-%u.yaml", net->seed);
    int code = nl_config_read(config, file, name, err);
    fclose(file);
    if (!code) code = apply_sets(config, sets, err);
    if (!code) code = nl_model_check(config, err);
    if (!code) {
        const uint32_t batch = (uint32_t)config->data.batch, left = net->images % batch;
        if ((uint64_t)(net->steps - 1) * batch >= net->images)
            code = nl_fail(err, NL_EUSAGE, name, "%u images have no %u steps", net->images,
                           net->steps);
        const bool used = net->images < batch || net->steps > net->images / batch;
        if (!code) code = nl_model_build(model, config, (int)(left && used ? left : batch), err);
    }
    free(text);
    free(sets);
    return code;
}
