/* survey.h */
#include "support/survey.h"

#include <stdio.h>  // printf
#include <stdlib.h> // getenv
#include <string.h> // strcmp

enum { SHRUNK = 3 }; /* failures that are shrunk and shown whole */

static uint32_t from_environment(const char *name, uint32_t otherwise) {
    const char *text = getenv(name);
    return text && text[0] ? (uint32_t)strtoul(text, NULL, 10) : otherwise;
}

uint32_t survey_first(void) {
    return from_environment("NL_ANY_FIRST", 1);
}

uint32_t survey_count(uint32_t otherwise) {
    return from_environment("NL_ANY_COUNT", otherwise);
}

/* ---- kinds -------------------------------------------------------------------------------------
 */

static int *place(survey *s, const char *name) {
    for (int i = 0; i < s->n_kinds; i++)
        if (!strcmp(s->kinds[i].name, name)) return &s->kinds[i].count;
    NL_ASSERT(s->n_kinds < SURVEY_KINDS);
    snprintf(s->kinds[s->n_kinds].name, sizeof s->kinds->name, "%s", name);
    return &s->kinds[s->n_kinds++].count;
}

int survey_kind(const survey *s, const char *name) {
    for (int i = 0; i < s->n_kinds; i++)
        if (!strcmp(s->kinds[i].name, name)) return s->kinds[i].count;
    return 0;
}

/* A kind is listed when a network could have been of it, so that 0 is seen. */
static void count(survey *s, const char *kind, bool is_so) {
    int *at = place(s, kind);
    if (is_so) ++*at;
}

static void count_number(survey *s, const char *kind, int number) {
    char name[48];
    snprintf(name, sizeof name, "%s %d", kind, number);
    count(s, name, true);
}

static void count_keys(survey *s, const nl_random_net *net) {
    for (int i = 0; nl_random_key(i); i++) {
        char name[48];
        const bool given = net->values[i][0];
        snprintf(name, sizeof name, "%s", nl_random_key(i));
        count(s, name, given && !net->by_set[i]);
        snprintf(name, sizeof name, "--set %s", nl_random_key(i));
        count(s, name, given && net->by_set[i]);
    }
}

static void count_layer_keys(survey *s, const nl_config *config) {
    bool conv = false, pad = false, norm = false, relu = false, pool = false, dropout = false;
    for (int i = 0; i < config->model.n_layers; i++) {
        const nl_layer_spec *l = &config->model.layers[i];
        conv = conv || l->kind == NL_LAYER_CONV;
        pad = pad || l->pad > 0;
        norm = norm || l->norm;
        relu = relu || l->relu;
        pool = pool || l->kind == NL_LAYER_MAX_POOL;
        dropout = dropout || (l->dropout && config->model.dropout > 0);
        if (l->kind == NL_LAYER_CONV) count_number(s, "kernel", l->kernel);
        if (l->kind == NL_LAYER_MAX_POOL) count_number(s, "size", l->size);
    }
    count(s, "layer conv", conv);
    count(s, "layer kernel", conv);
    count(s, "layer pad", pad);
    count(s, "layer norm", norm);
    count(s, "layer relu", relu);
    count(s, "layer pool", true);
    count(s, "layer size", pool);
    count(s, "layer dropout", dropout);
}

static void count_places(survey *s, const nl_model *model, const nl_config *config) {
    const nl_layer *first = &model->layers[0], *above = &model->layers[model->n_layers - 2];
    const nl_layer *last = above; /* the last convolution */
    int kinds = 0;
    while (last->kind != NL_LAYER_CONV) last--;
    char name[48];
    for (int i = NL_NORM_NONE + 1; i < NL_NORMS; i++) {
        const nl_norm_row *norm = nl_norm_find((nl_norm)i);
        bool any = false;
        for (int k = 0; k < model->n_layers; k++) any = any || model->layers[k].norm == norm;
        kinds += any;
        snprintf(name, sizeof name, "norm %s", nl_norm_words[i]);
        count(s, name, any);
        snprintf(name, sizeof name, "norm %s on the last convolution", nl_norm_words[i]);
        count(s, name, last->norm == norm);
    }
    count(s, "norm none", kinds == 0);
    count(s, "norms mixed", kinds > 1);
    count(s, "norm last", last->gamma >= 0 && above->kind == NL_LAYER_CONV);
    count(s, "pool first", first->kind == NL_LAYER_MAX_POOL);
    count(s, "pool before the average", above->kind == NL_LAYER_MAX_POOL);
    bool grouped = false;
    for (int k = 0; k < model->n_layers; k++)
        grouped = grouped || model->layers[k].norm == nl_norm_find(NL_NORM_GROUP);
    if (grouped) count_number(s, "group size", config->model.group_size);
}

static void count_pictures(survey *s, const nl_picture *p) {
    const nl_image_shape shape = p->shape;
    count_number(s, "channels", shape.channels);
    count(s, "picture of 28 x 28", shape.height == 28 && shape.width == 28);
    count(s, "square picture", shape.height == shape.width);
    count(s, "wide picture", shape.width > shape.height);
    count(s, "high picture", shape.height > shape.width);
    count(s, "bytes no multiple of 4", nl_image_bytes(shape) % 4 > 0);
    count(s, "classes 2 to 9", p->classes < 10);
    count(s, "classes 10", p->classes == 10);
    count(s, "classes 11 to 32", p->classes > 10 && p->classes <= 32);
    count(s, "classes 33 to 256", p->classes > 32);
    count(s, "mean by channel", p->mean.count > 1);
    count(s, "classes named", nl_picture_names(p) > 0);
}

static void count_batches(survey *s, const nl_random_net *net, const nl_config *config) {
    const uint32_t batch = (uint32_t)config->data.batch, left = net->images % batch;
    const bool used = net->steps * batch > net->images;
    count(s, "last batch of 1", left == 1 && used && batch > 1 && net->steps > 1);
    count(s, "last batch smaller", left > 0 && used && net->steps > 1);
    count(s, "last batch unused", left > 0 && !used);
    count(s, "one batch, not full", net->images < batch);
    count(s, "batch 1", batch == 1);
    count_number(s, "threads", net->threads);
}

static void tally(survey *s, const nl_random_net *net) {
    nl_config config;
    nl_model *model = nl_alloc(1, sizeof *model, "model");
    NL_ASSERT(nl_random_net_load(&config, model, net, NULL) == NL_OK);
    count_places(s, model, &config);
    count_batches(s, net, &config);
    count_pictures(s, &config.data.picture);
    count_layer_keys(s, &config);
    count_keys(s, net);
    free(model);
}

/* ---- shrinking ---------------------------------------------------------------------------------
 */

static bool still_fails(const nl_random_net *net, const nl_backend *backend) {
    nl_config config;
    nl_model *model = nl_alloc(1, sizeof *model, "model");
    const bool valid = nl_random_net_load(&config, model, net, NULL) == NL_OK;
    nl_random_outcome outcome;
    free(model);
    return valid && nl_random_net_check(net, backend, &outcome, NULL) != NL_OK;
}

static bool keep_if_failing(nl_random_net *net, const nl_random_net *smaller,
                            const nl_backend *backend) {
    if (!memcmp(net, smaller, sizeof *net) || !still_fails(smaller, backend)) return false;
    *net = *smaller;
    return true;
}

static bool shrink_layers(nl_random_net *net, const nl_backend *backend) {
    bool any = false;
    for (int i = net->n_layers - 2; i >= 0; i--) {
        nl_random_net s = *net;
        memmove(s.layers + i, s.layers + i + 1, sizeof *s.layers * (size_t)(s.n_layers - 1 - i));
        s.n_layers--;
        if (keep_if_failing(net, &s, backend)) {
            any = true;
            continue;
        }
        for (int part = 0; part < 6; part++) {
            s = *net;
            nl_layer_spec *l = &s.layers[i];
            if (part == 0) l->norm = false;
            if (part == 1) l->relu = false;
            if (part == 2) l->dropout = false;
            if (part == 3 && l->kernel > 1) l->kernel = 1, l->pad = 0;
            if (part == 4) l->pad = 0;
            if (part == 5 && l->kind == NL_LAYER_CONV) l->out = 1;
            any = keep_if_failing(net, &s, backend) || any;
        }
    }
    return any;
}

static bool shrink_rest(nl_random_net *net, const nl_backend *backend) {
    bool any = false;
    for (int i = 0; nl_random_key(i); i++) { /* back to the default */
        nl_random_net s = *net;
        memset(s.values[i], 0, sizeof s.values[i]);
        any = keep_if_failing(net, &s, backend) || any;
    }
    const uint32_t images[] = {1, 2, net->images / 2};
    for (int i = 0; i < 3; i++) {
        nl_random_net s = *net;
        if (images[i] < s.images && images[i] > 0) s.images = images[i];
        s.steps = 1;
        any = keep_if_failing(net, &s, backend) || any;
    }
    nl_random_net s = *net;
    s.threads = 1;
    return keep_if_failing(net, &s, backend) || any;
}

void survey_shrink(nl_random_net *net, const nl_backend *backend) {
    while (shrink_layers(net, backend) || shrink_rest(net, backend)) continue;
}

void survey_show(const nl_random_net *net) {
    char *sets, *text = nl_random_net_text(net, &sets);
    printf("any: seed %u: %u images, %u steps an epoch, %u test images, %d threads\n%s", net->seed,
           net->images, net->steps, net->tests, net->threads, text);
    if (sets[0]) printf("--set\n%s", sets);
    fflush(stdout);
    free(text);
    free(sets);
}

/* ---- the survey --------------------------------------------------------------------------------
 */

static void report_failure(survey *s, const nl_random_net *net, const nl_error *err) {
    printf("any: FAILED on %s: %s: %s\n", s->backend->name, err->where, err->what);
    if (s->failed++ == 0)
        snprintf(s->first_failure, sizeof s->first_failure, "%.100s: %.400s", err->where,
                 err->what);
    if (s->failed > SHRUNK) return;
    nl_random_net small = *net;
    nl_random_outcome outcome;
    nl_error why = {0};
    survey_shrink(&small, s->backend);
    (void)nl_random_net_check(&small, s->backend, &outcome, &why);
    printf("any: the least that fails: %s\n", why.what);
    survey_show(&small);
}

void survey_draw(survey *s, uint32_t first, uint32_t networks, int64_t macs) {
    *s = (survey){.networks = (int)networks};
    for (uint32_t i = 0; i < networks; i++) {
        nl_random_net net;
        nl_random_net_draw(&net, first + i, macs);
        tally(s, &net);
    }
}

void survey_run(survey *s, const nl_backend *backend, uint32_t first, uint32_t networks,
                int64_t macs) {
    *s = (survey){.backend = backend};
    for (uint32_t i = 0; i < networks; i++) {
        nl_random_net net;
        nl_random_outcome outcome;
        nl_error err = {0};
        nl_random_net_draw(&net, first + i, macs);
        tally(s, &net);
        s->networks++;
        if (nl_random_net_check(&net, backend, &outcome, &err)) report_failure(s, &net, &err);
        s->ties += outcome.ties > 0;
        if (outcome.loss > s->loss) s->loss = outcome.loss;
        if (outcome.step > s->step) s->step = outcome.step;
    }
}

void survey_print(const survey *s) {
    printf("any: %s: %d networks, %d failed, %d with ties; first losses within %.2g, gradients "
           "within %.2f of the bound\n",
           s->backend->name, s->networks, s->failed, s->ties, s->loss, s->step);
    for (int i = 0; i < s->n_kinds; i++)
        printf("any: %s: %5d  %s\n", s->backend->name, s->kinds[i].count, s->kinds[i].name);
    fflush(stdout);
}
