/* normlab eval CHECKPOINT: loss, accuracy, accuracy per class and confusion matrix of a checkpoint
 * on a data set, never rotated. The checkpoint's own config builds the model, so nothing else is
 * needed but the data; weights of another program want --config. */
#include <stdio.h>    // printf
#include <stdlib.h>   // free
#include <string.h>   // strcmp
#include <sys/stat.h> // stat

#include "base/signals.h" // nl_signals_catch
#include "commands.h"
#include "config_path.h" // nl_config_load_named
#include "eval_logits.h"
#include "eval_results.h"
#include "normlab/backend.h"    // nl_backend
#include "normlab/checkpoint.h" // nl_checkpoint_read
#include "options.h"

enum {
    MAX_BATCH = 1024 /* a checkpoint's batch decides speed alone, never the result */
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
    uint8_t *predictions; /* (split->count) */
    float *logits;        /* (split->count, classes), or NULL */
    eval_results results;
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
    {"data", KEY_DATA, "DIR", 0, NL_DATA_TEXT, 0},
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

/* Before each part of the pass, and before the logits are written. */
static int ask(void *context, nl_error *err) {
    const evaluation *e = context;
    const int signal = nl_signals_caught();
    return signal ? nl_fail(err, signal, e->checkpoint, "interrupted: no result") : NL_OK;
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
    const nl_evaluator by = {backend, engine, (uint32_t)e->config.data.batch, ask, e};
    nl_signals_catch();
    rc = backend->set_state(engine, state, &e->err);
    if (!rc) rc = nl_evaluate(&by, &pass, &result, &e->err);
    backend->close(engine);
    e->results.loss = result.loss / e->split->count;
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
    nl_state read = nl_state_alloc(model, sizeof(float));
    bool sealed = false;
    int rc = nl_checkpoint_read(e->checkpoint, model, read.params, read.buffers, &sealed, &e->err);
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
        nl_state state = nl_state_alloc(model, backend->real_size);
        nl_state_convert(&state, backend->real_size, &read, sizeof(float), model);
        const nl_engine_spec spec = {
            .config = &e->config, .model = model, .data = &both, .device = device, .cached = true};
        rc = run_engine(e, backend, &spec, &state);
        nl_state_free(&state);
        e->split = e->train ? &e->data.train : &e->data.test;
    }
    nl_state_free(&read);
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
    if (!rc) rc = ask(e, &e->err);
    if (rc) return rc;
    e->results.train = e->train;
    e->results.images = e->split->count;
    e->results.picture = &e->model.picture;
    for (uint32_t i = 0; i < e->split->count; i++) {
        e->results.confusion[e->split->labels[i]][e->predictions[i]]++;
    }
    return e->logits_path ? eval_logits_write(e->logits_path, e->logits, e->model.picture.classes,
                                              e->split, &e->err)
                          : NL_OK;
}

int nl_cmd_eval(int argc, char **argv) {
    evaluation *e = nl_alloc(1, sizeof *e, "evaluation");
    e->device_name = "auto";
    int rc = nl_options_parse(&argp, argc, argv, e, &e->err);
    if (!rc) rc = evaluate(e);
    nl_signals_release();
    if (rc) {
        nl_error_print(&e->err);
    } else if (e->json) {
        eval_print_json(&e->results);
    } else {
        eval_print_text(&e->results, e->checkpoint);
    }
    nl_dataset_free(&e->data);
    free(e->predictions), free(e->logits), free(e);
    return rc;
}
