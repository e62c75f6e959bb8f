/* normlab eval CHECKPOINT: loss, accuracy, accuracy per class and confusion matrix of a checkpoint
 * on a data set, never rotated. The checkpoint's own config builds the model, so nothing else is
 * needed but the data; weights of another program want --config. */
#include <jansson.h>  // json_t
#include <math.h>     // NAN
#include <stdio.h>    // printf
#include <stdlib.h>   // free
#include <string.h>   // strcmp
#include <sys/stat.h> // stat

#include "base/number.h" // nl_json_number
#include "base/reals.h"  // nl_reals_copy
#include "commands.h"
#include "config_path.h" // nl_config_load_named
#include "eval_logits.h"
#include "normlab/backend.h"    // nl_backend
#include "normlab/checkpoint.h" // nl_checkpoint_read
#include "normlab/confusion.h"  // nl_mistakes_text
#include "options.h"

enum {
    MAX_BATCH = 1024,   /* a checkpoint's batch decides speed alone, never the result */
    MATRIX_CLASSES = 12 /* of so many a confusion matrix is printed */
};

typedef struct evaluation {
    /* Options. */
    const char *checkpoint, *config_path, *device_name, *logits_path;
    char data_dir[4096];
    bool train, json;
    nl_error err;
    /* What is evaluated. */
    nl_config config;
    nl_model model;
    nl_dataset data;
    const nl_split *split;
    /* What came out. */
    uint8_t *predictions;                               /* (split->count) */
    float *logits;                                      /* (split->count, classes), or NULL */
    double loss;                                        /* mean */
    uint32_t confusion[NL_MAX_CLASSES][NL_MAX_CLASSES]; /* [label][prediction] */
} evaluation;

/* ---- options -------------------------------------------------------------------------------- */

enum { KEY_DATA = 256, KEY_SPLIT, KEY_DEVICE, KEY_JSON, KEY_LOGITS, KEY_CONFIG };

static error_t parse_split(evaluation *e, const char *arg) {
    e->train = strcmp(arg, "train") == 0;
    if (e->train || strcmp(arg, "test") == 0) return 0;
    return nl_fail(&e->err, NL_EUSAGE, "--split", "'%.40s': must be test or train", arg);
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    evaluation *e = state->input;
    switch (key) {
    case KEY_DATA:
        snprintf(e->data_dir, sizeof e->data_dir, "%s", arg);
        return 0;
    case KEY_SPLIT:
        return parse_split(e, arg);
    case KEY_DEVICE:
        e->device_name = arg;
        return 0;
    case KEY_JSON:
        e->json = true;
        return 0;
    case KEY_LOGITS:
        e->logits_path = arg;
        return eval_logits_check(arg, &e->err);
    case KEY_CONFIG:
        e->config_path = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (e->checkpoint) return ARGP_ERR_UNKNOWN;
        e->checkpoint = arg;
        return 0;
    case ARGP_KEY_NO_ARGS:
        return nl_fail(&e->err, NL_EUSAGE, "eval", "needs a checkpoint");
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option option_list[] = {
    {"config", KEY_CONFIG, "CONFIG", 0,
     "the network of the weights, for a checkpoint that does not name it (default: what it names)",
     0},
    {"data", KEY_DATA, "DIR", 0,
     "folder with the four IDX files, raw or .gz (default: $NORMLAB_DATA, else "
     "$XDG_CACHE_HOME/normlab/SET, else ~/.cache/normlab/SET, of the config's data.set)",
     0},
    {"split", KEY_SPLIT, "test|train", 0, "the images to evaluate (default: test)", 0},
    {"device", KEY_DEVICE, "D", 0, "auto, cpu, cpu64, cuda or cuda:N (default: auto)", 0},
    {"json", KEY_JSON, NULL, 0, "print one JSON object", 0},
    {"logits", KEY_LOGITS, "FILE", 0,
     "write all logits and labels: FILE.csv as a table, FILE.safetensors as tensors", 0},
    {0}};

static const struct argp argp = {
    .options = option_list,
    .parser = parse,
    .args_doc = "CHECKPOINT",
    .doc = "Evaluates a checkpoint: loss, accuracy, accuracy per class, confusion matrix. Images "
           "are never rotated. CHECKPOINT is a file of normlab train, or any safetensors file with "
           "tensors of the same names and shapes."};

/* ---- evaluation ----------------------------------------------------------------------------- */

/* The arenas in the backend's precision. */
static void *arena_of(const float *from, int64_t count, int real_size) {
    void *to = nl_alloc((size_t)count, (size_t)real_size, "weights");
    nl_reals_copy(to, real_size, from, sizeof *from, count);
    return to;
}

static int run_engine(evaluation *e, const nl_backend *backend, const nl_engine_spec *spec,
                      const nl_state *state) {
    nl_engine *engine = NULL;
    nl_eval_result result = {0};
    const nl_eval_pass pass = {.split = e->split,
                               .images = e->split->count,
                               .predictions = e->predictions,
                               .logits = e->logits};
    int rc = backend->open(&engine, spec, &e->err);
    if (rc) return rc;
    rc = backend->set_state(engine, state, &e->err);
    if (!rc) rc = backend->evaluate(engine, &pass, &result, &e->err);
    backend->close(engine);
    e->loss = result.loss / e->split->count;
    return rc;
}

/* The logits must not take the place of what they are computed from, whatever its name. */
static int check_logits(evaluation *e) {
    const char *const inputs[] = {e->checkpoint, e->config_path};
    struct stat out, in;
    if (!e->logits_path || stat(e->logits_path, &out) != 0) return NL_OK;
    for (int i = 0; i < 2; i++)
        if (inputs[i] && stat(inputs[i], &in) == 0 && in.st_dev == out.st_dev &&
            in.st_ino == out.st_ino)
            return nl_fail(&e->err, NL_EUSAGE, "--logits", "%.200s is what is being read",
                           e->logits_path);
    return NL_OK;
}

static int load_and_run(evaluation *e, const nl_backend *backend, int device) {
    const nl_model *model = &e->model;
    float *params = nl_alloc((size_t)model->params_size, sizeof *params, "weights");
    float *buffers = nl_alloc((size_t)model->buffers_size, sizeof *buffers, "running values");
    bool sealed = false;
    int rc = nl_checkpoint_read(e->checkpoint, model, params, buffers, &sealed, &e->err);
    if (!rc && !sealed) nl_checkpoint_warn(e->checkpoint);
    if (!rc)
        rc = nl_dataset_load_part(&e->data, e->data_dir, &model->picture, e->train, !e->train,
                                  &e->err);
    if (!rc) {
        /* An engine has two splits; the one that is there stands in for the one not needed. */
        nl_dataset both = e->data;
        both.train = both.test = e->train ? e->data.train : e->data.test;
        e->split = &both.test;
        e->predictions = nl_alloc(e->split->count, 1, "predictions");
        const size_t n_logits = (size_t)e->split->count * (size_t)model->picture.classes;
        if (e->logits_path) e->logits = nl_alloc(n_logits, sizeof(float), "logits");
        const int size = backend->real_size;
        const nl_state state = {.params = arena_of(params, model->params_size, size),
                                .momentum =
                                    nl_alloc((size_t)model->params_size, (size_t)size, "momentum"),
                                .buffers = arena_of(buffers, model->buffers_size, size)};
        const nl_engine_spec spec = {
            .config = &e->config, .model = model, .data = &both, .device = device};
        rc = run_engine(e, backend, &spec, &state);
        free(state.params), free(state.momentum), free(state.buffers);
        e->split = e->train ? &e->data.train : &e->data.test;
    }
    free(params), free(buffers);
    return rc;
}

/* The config that the weights are of: --config, else the checkpoint's own. */
static int load_network(evaluation *e) {
    if (e->config_path) {
        int rc = nl_config_load_named(&e->config, e->config_path, &e->err);
        if (!rc) rc = nl_config_check(&e->config, &e->err);
        return rc ? rc : nl_model_build(&e->model, &e->config, 0, &e->err);
    }
    const int rc = nl_checkpoint_config(e->checkpoint, &e->config, &e->err);
    if (rc || nl_model_build(&e->model, &e->config, 0, &e->err) == NL_OK) return rc;
    char what[512];
    snprintf(what, sizeof what, "%s", e->err.what);
    nl_fail(&e->err, NL_EDATA, e->checkpoint, "__metadata__.config: %s", what);
    return nl_hint(&e->err, "--config CONFIG tells which network its weights are of");
}

static int evaluate(evaluation *e) {
    const nl_backend *backend = NULL;
    int device = 0;
    int rc = check_logits(e);
    if (!rc) rc = load_network(e);
    if (rc) return rc;
    if (e->config.data.batch > MAX_BATCH) e->config.data.batch = MAX_BATCH;
    if (!e->data_dir[0])
        nl_dataset_default_dir(e->data_dir, sizeof e->data_dir, e->config.data.picture.set);
    rc = nl_backend_select(&backend, &device, e->device_name, &e->err);
    if (!rc) rc = load_and_run(e, backend, device);
    if (rc) return rc;
    for (uint32_t i = 0; i < e->split->count; i++) {
        e->confusion[e->split->labels[i]][e->predictions[i]]++;
    }
    return e->logits_path ? eval_logits_write(e->logits_path, e->logits, e->model.picture.classes,
                                              e->split, &e->err)
                          : NL_OK;
}

/* ---- results -------------------------------------------------------------------------------- */

static uint32_t count_label(const evaluation *e, int label) {
    uint32_t count = 0;
    for (int k = 0; k < e->model.picture.classes; k++) count += e->confusion[label][k];
    return count;
}

static uint32_t count_right(const evaluation *e) {
    uint32_t count = 0;
    for (int k = 0; k < e->model.picture.classes; k++) count += e->confusion[k][k];
    return count;
}

/* Per cent; NaN where there is nothing to count. */
static double percent(uint32_t part, uint32_t whole) {
    return whole ? 100.0 * part / whole : NAN;
}

static void print_json(const evaluation *e) {
    json_t *per_class = json_array(), *confusion = json_array();
    for (int label = 0; label < e->model.picture.classes; label++) {
        const double accuracy = percent(e->confusion[label][label], count_label(e, label));
        json_t *row = json_array();
        for (int k = 0; k < e->model.picture.classes; k++) {
            json_array_append_new(row, json_integer(e->confusion[label][k]));
        }
        json_array_append_new(per_class, nl_json_number(accuracy));
        json_array_append_new(confusion, row);
    }
    json_t *object =
        json_pack("{s:s, s:I, s:o, s:o, s:o, s:o}", "split", e->train ? "train" : "test", "images",
                  (json_int_t)e->split->count, "loss", nl_json_number(e->loss), "accuracy",
                  nl_json_number(percent(count_right(e), e->split->count)), "per_class", per_class,
                  "confusion", confusion);
    NL_NEED(object);
    json_t *names = json_array();
    for (int k = 0; k < nl_picture_names(&e->model.picture); k++)
        json_array_append_new(names, json_string(e->model.picture.names[k]));
    if (json_array_size(names) > 0)
        json_object_set_new(object, "class_names", names);
    else
        json_decref(names);
    json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(10));
    putchar('\n');
    json_decref(object);
}

/* A line a class: a matrix of many would be wider than any terminal. */
static void print_list(const evaluation *e) {
    const nl_picture *picture = &e->model.picture;
    int width = *picture->names[0] ? (int)sizeof "name " : 0; /* of the names */
    for (int label = 0; label < picture->classes; label++)
        if (*picture->names[label] && (int)strlen(picture->names[label]) + 2 > width)
            width = (int)strlen(picture->names[label]) + 2;
    printf("label  %-*simages  right %%  most often read as\n", width, width ? "name" : "");
    for (int label = 0; label < picture->classes; label++) {
        const uint32_t count = count_label(e, label);
        char mistakes[NL_MISTAKES_TEXT], share[16] = "-";
        nl_mistakes_text(mistakes, picture, e->confusion[label], label);
        if (count)
            snprintf(share, sizeof share, "%.2f", percent(e->confusion[label][label], count));
        printf("%5d  %-*s%6u%9s%s%s\n", label, width, picture->names[label], count, share,
               *mistakes ? "  " : "", mistakes);
    }
}

static void print_text(const evaluation *e) {
    const uint32_t right = count_right(e), images = e->split->count;
    printf("%s on the %s images\n\n", e->checkpoint, e->train ? "training" : "test");
    printf("loss      %.6f\n", e->loss);
    printf("accuracy  %.2f %%  (%u of %u)\n\n", percent(right, images), right, images);
    if (e->model.picture.classes > MATRIX_CLASSES) {
        print_list(e);
        return;
    }
    printf("label   predicted as\n       ");
    for (int k = 0; k < e->model.picture.classes; k++) printf("%7d", k);
    printf("%9s%9s\n", "images", "right %");
    for (int label = 0; label < e->model.picture.classes; label++) {
        const uint32_t count = count_label(e, label);
        printf("%5d  ", label);
        for (int k = 0; k < e->model.picture.classes; k++) printf("%7u", e->confusion[label][k]);
        printf("%9u", count);
        if (count)
            printf("%9.2f", percent(e->confusion[label][label], count));
        else
            printf("%9s", "-");
        const char *name = e->model.picture.names[label];
        printf("%s%s\n", *name ? "  " : "", name);
    }
}

int nl_cmd_eval(int argc, char **argv) {
    evaluation *e = nl_alloc(1, sizeof *e, "evaluation");
    e->device_name = "auto";
    int rc = nl_options_parse(&argp, argc, argv, e, &e->err);
    if (!rc) rc = evaluate(e);
    if (rc) {
        nl_error_print(&e->err);
    } else if (e->json) {
        print_json(e);
    } else {
        print_text(e);
    }
    nl_dataset_free(&e->data);
    free(e->predictions), free(e->logits), free(e);
    return rc;
}
