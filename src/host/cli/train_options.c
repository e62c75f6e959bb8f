/* Reads the arguments of normlab train. */
#include "train_options.h"

#include <errno.h>    // errno
#include <limits.h>   // INT_MAX
#include <stdlib.h>   // free
#include <string.h>   // strlen
#include <sys/stat.h> // mkdir
#include <time.h>     // gmtime_r
#include <unistd.h>   // getpid

#include "base/claim.h"  // nl_claim_read_patience
#include "base/folder.h" // nl_folder_make

enum { MAX_THREADS = 8192 }; /* as many CPUs as Linux knows on x86-64 */

/* Options without a letter. */
enum {
    KEY_DATA = 256,
    KEY_DEVICE,
    KEY_EPOCHS,
    KEY_SEEDS,
    KEY_OUT,
    KEY_INIT,
    KEY_RESUME,
    KEY_OVERWRITE,
    KEY_LIMIT,
    KEY_LOG,
    KEY_SAVE,
    KEY_LAYERS,
    KEY_THREADS,
    KEY_NO_AUTOTUNE,
    KEY_SET,
    KEY_NO_REPORT,
    KEY_QUIET,
    KEY_JOBS,
    KEY_SHARD,
    KEY_JOIN
};

static const struct argp_option option_list[] = {
    {"data", KEY_DATA, "DIR", 0, NL_DATA_TEXT, 0},
    {"device", KEY_DEVICE, "DEVICE", 0,
     "auto, cpu, cpu64, cuda or cuda:N (default: auto; cpu64 trains in double precision: slow, for "
     "checks)",
     0},
    {"epochs", KEY_EPOCHS, "N", 0, "0 writes the initial checkpoint and stops", 0},
    {"seeds", KEY_SEEDS, "LIST", 0, "1 or 1-10 or 1,3,5 (default: the config's)", 0},
    {"out", KEY_OUT, "DIR", 0, "run folder (default: runs/<UTC time>)", 0},
    {"init", KEY_INIT, "FILE", 0, "start from the weights of this checkpoint", 0},
    {"resume", KEY_RESUME, NULL, 0,
     "go on with the runs in --out; --epochs, --init, --log-every, --save-every and --layer-stats "
     "are as they were unless given",
     0},
    {"overwrite", KEY_OVERWRITE, NULL, 0, "replace runs that are there", 0},
    {"limit-batches", KEY_LIMIT, "N", 0, "at most N batches in every pass over data", 0},
    {"log-every", KEY_LOG, "N", 0, "write a step record every N steps (default: none)", 0},
    {"save-every", KEY_SAVE, "N", 0,
     "all that resuming needs, every N steps too (default: after each epoch and on a signal)", 0},
    {"layer-stats", KEY_LAYERS, NULL, 0,
     "before training and after each epoch, record mean and deviation of each layer's activations "
     "and gradients and the share of dead ReLUs, on a fixed batch (default: no)",
     0},
    {"jobs", KEY_JOBS, "N|auto", 0,
     "so many runs side by side (default auto: on the CPU 1 for one run, as many as cores for "
     "several; on a GPU 1)",
     0},
    {"shard", KEY_SHARD, "I/N|auto", 0,
     "part I (from 1) of N of the runs, dealt in turn; auto: from the environment of Slurm, Open "
     "MPI or PMI. normlab report DIR... reports several folders as one study",
     0},
    {"join", KEY_JOIN, NULL, 0,
     "take what no other process sharing --out has taken or finished, until nothing is left; a "
     "process that shows no sign of life for 60 s (NORMLAB_CLAIM_SECONDS) is taken for dead and "
     "its "
     "run gone on with",
     0},
    {"threads", KEY_THREADS, "N", 0,
     "CPU threads of a run (default: one a core; of runs side by side one)", 0},
    {"no-autotune", KEY_NO_AUTOTUNE, NULL, 0,
     "first deterministic convolution plan instead of the fastest", 0},
    {"set", KEY_SET, "KEY=VALUE", 0, "override a key of the config, as train.l1=0", 0},
    {"no-report", KEY_NO_REPORT, NULL, 0, "train only", 0},
    {"quiet", KEY_QUIET, NULL, 0, "no log and no progress: the closing table alone", 0},
    {0}};

static int take_epochs(train_arguments *a, const char *text) {
    int epochs = 0;
    const int code = nl_option_int(&epochs, "--epochs", text, 0, INT_MAX, &a->err);
    snprintf(a->epochs, sizeof a->epochs, "train.epochs=%d", epochs);
    a->assignments[a->n_assignments++] = a->epochs;
    return code;
}

static int take_count(uint32_t *count, const char *option, const char *text, nl_error *err) {
    int value = 0;
    const int code = nl_option_int(&value, option, text, 1, INT_MAX, err);
    *count = (uint32_t)value;
    return code;
}

static int take_seeds(train_arguments *a, const char *text) {
    free(a->seeds.list); /* the last --seeds counts */
    return nl_option_seeds(&a->seeds, "--seeds", text, &a->err);
}

/* Options whose value is kept as it is, and switches. */
static bool take_plain(train_arguments *a, int key, const char *text) {
    nl_train_options *o = &a->options;
    switch (key) {
    case KEY_DATA:
        a->data = text;
        return true;
    case KEY_DEVICE:
        a->device = text;
        return true;
    case KEY_OUT:
        o->out = text;
        return true;
    case KEY_INIT:
        o->init = text;
        return true;
    case KEY_RESUME:
        return o->resume = true;
    case KEY_JOIN:
        return o->join = true;
    case KEY_OVERWRITE:
        return o->overwrite = true;
    case KEY_NO_AUTOTUNE:
        o->autotune = false;
        return true;
    case KEY_NO_REPORT:
        return a->no_report = true;
    case KEY_LAYERS:
        return o->layer_stats = true;
    case KEY_QUIET:
        return o->quiet = true;
    case KEY_SET:
        a->assignments[a->n_assignments++] = text;
        return true;
    case ARGP_KEY_ARG:
        a->paths[a->n_paths++] = text;
        return true;
    default:
        return false;
    }
}

static error_t parse(int key, char *text, struct argp_state *state) {
    train_arguments *a = state->input;
    nl_train_options *o = &a->options;
    if (take_plain(a, key, text)) return 0;
    switch (key) {
    case KEY_EPOCHS:
        return take_epochs(a, text);
    case KEY_SEEDS:
        return take_seeds(a, text);
    case KEY_LIMIT:
        return take_count(&o->limit_batches, "--limit-batches", text, &a->err);
    case KEY_LOG:
        return take_count(&o->log_every, "--log-every", text, &a->err);
    case KEY_SAVE:
        return take_count(&o->save_every, "--save-every", text, &a->err);
    case KEY_JOBS:
        if (strcmp(text, "auto") != 0)
            return nl_option_int(&o->jobs, "--jobs", text, 1, MAX_THREADS, &a->err);
        o->jobs = 0;
        return 0;
    case KEY_SHARD:
        return nl_shard_parse(&a->shard, text, &a->err);
    case KEY_THREADS:
        return nl_option_int(&o->threads, "--threads", text, 1, MAX_THREADS, &a->err);
    case ARGP_KEY_NO_ARGS:
        return nl_fail(&a->err, NL_EUSAGE, "train", "needs a config");
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* The help ends with the keys of a config. */
static int parse_list(train_arguments *a, int argc, char **argv) {
    static const char about[] =
        "Trains each config with each seed, then writes the report. The last of a repeated option "
        "counts.\vKeys of a config and of --set:\n\n";
    char *keys = nl_config_help();
    char *doc = nl_alloc(strlen(about) + strlen(keys) + 1, 1, "help");
    strcat(strcpy(doc, about), keys);
    const struct argp argp = {
        .options = option_list, .parser = parse, .args_doc = "CONFIG...", .doc = doc};
    const int code = nl_options_parse(&argp, argc, argv, a, &a->err);
    free(keys);
    free(doc);
    return code;
}

static void set_defaults(train_arguments *a) {
    if (!a->options.out) { /* where nothing is, so that the checks find nothing */
        snprintf(a->default_out, sizeof a->default_out, "runs/%ld.new", (long)getpid());
        a->options.out = a->default_out;
    }
}

int train_arguments_make_out(train_arguments *a) {
    char stamp[48];
    const time_t now = time(NULL);
    struct tm utc;
    if (a->options.out != a->default_out) return NL_OK;
    gmtime_r(&now, &utc);
    strftime(stamp, sizeof stamp, "runs/%Y-%m-%dT%H-%M-%SZ", &utc);
    snprintf(a->default_out, sizeof a->default_out, "%s", stamp);
    if (nl_folder_make("runs", &a->err))
        return nl_hint(&a->err, "--out DIR names a folder elsewhere");
    int made = mkdir(a->default_out, 0777); /* nobody else's */
    for (int n = 2; made != 0 && errno == EEXIST && n < 10000; n++) {
        snprintf(a->default_out, sizeof a->default_out, "%s-%d", stamp, n);
        made = mkdir(a->default_out, 0777);
    }
    if (made == 0) return NL_OK;
    nl_fail(&a->err, NL_EWRITE, a->default_out, "cannot make the folder: %s", strerror(errno));
    return nl_hint(&a->err, "--out DIR names a folder elsewhere");
}

int train_arguments_parse(train_arguments *a, int argc, char **argv) {
    *a = (train_arguments){.device = "auto", .options.autotune = true};
    a->paths = nl_alloc((size_t)argc, sizeof *a->paths, "arguments");
    a->assignments = nl_alloc((size_t)argc, sizeof *a->assignments, "arguments");
    const int code = parse_list(a, argc, argv);
    nl_train_options *o = &a->options;
    if (code) return code;
    if (nl_claim_read_patience(&a->err)) return NL_EUSAGE;
    if (o->join && o->overwrite)
        return nl_fail(&a->err, NL_EUSAGE, "--join", "not together with --overwrite");
    if (o->join && !o->out)
        return nl_fail(&a->err, NL_EUSAGE, "--join", "needs --out, the folder that is shared");
    o->resume = o->resume || o->join;
    if (o->resume && o->overwrite)
        return nl_fail(&a->err, NL_EUSAGE, "--resume", "not together with --overwrite");
    if (o->resume && !o->out)
        return nl_fail(&a->err, NL_EUSAGE, "--resume", "needs --out, the folder of the runs");
    set_defaults(a);
    return NL_OK;
}

void train_arguments_free(train_arguments *a) {
    free(a->seeds.list);
    free(a->paths);
    free(a->assignments);
}
