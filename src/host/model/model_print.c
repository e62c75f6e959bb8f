/* The table that `normlab summary` prints: one row a layer, then totals, then how many pairs of
 * mean and variance each norm takes of one training batch, and of how many values. */
#include "normlab/model.h"

#include <stdio.h>  // printf
#include <string.h> // strlen

/* 1,234,567 into text[32] */
static const char *grouped(char text[32], int64_t number) {
    char digits[24];
    const int n = snprintf(digits, sizeof digits, "%lld", (long long)number);
    char *at = text;
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0 && digits[i - 1] != '-') *at++ = ',';
        *at++ = digits[i];
    }
    *at = '\0';
    return text;
}

/* The count of a tensor, empty where there is none. */
static const char *count_of(char text[32], const nl_model *model, int tensor) {
    return tensor < 0 ? "" : grouped(text, model->tensors[tensor].count);
}

static void shape_text(char text[48], int c, int h, int w) {
    if (h == 1 && w == 1)
        snprintf(text, 48, "%d", c);
    else
        snprintf(text, 48, "%d x %d x %d", c, h, w);
}

static void kernel_text(char *text, size_t size, const nl_layer *l) {
    if (l->pad)
        snprintf(text, size, "%dx%d pad %d", l->kernel, l->kernel, l->pad);
    else if (l->stride > 1)
        snprintf(text, size, "%dx%d / %d", l->kernel, l->kernel, l->stride);
    else
        snprintf(text, size, "%dx%d", l->kernel, l->kernel);
}

static const char *then_text(const nl_layer *l) {
    if (l->kind == NL_LAYER_AVG_POOL) return "average";
    if (l->kind == NL_LAYER_MAX_POOL) return l->dropout ? "max, dropout" : "max";
    if (l->norm) return l->relu ? "norm, ReLU" : "norm";
    return l->relu ? "ReLU" : "";
}

/* printf of one row, without spaces at its end. */
static void print_row(const char *const cells[12]) {
    static const int widths[12] = {3, -7, -9, -12, 12, 12, 3, 4, 7, 4, 4, 9}; /* < 0: to the left */
    char row[512];
    size_t used = 0, end = 0;
    for (int i = 0; i < 12; i++) {
        used += (size_t)snprintf(row + used, sizeof row - used, "%s%*s", i ? " " : "", widths[i],
                                 cells[i]);
        NL_ASSERT(used < sizeof row);
        if (*cells[i]) end = used;
    }
    while (row[end - 1] == ' ') end--;
    printf("%.*s\n", (int)end, row);
}

static void print_layer(const nl_model *model, int index) {
    const nl_layer *l = &model->layers[index];
    char number[16], kernel[48], in[48], out[48], rf[16], jump[16];
    char weights[32], bias[32], norm[32] = "", macs[32] = "";
    snprintf(number, sizeof number, "%d", index + 1);
    snprintf(rf, sizeof rf, "%d", l->rf);
    snprintf(jump, sizeof jump, "%d", l->jump);
    kernel_text(kernel, sizeof kernel, l);
    shape_text(in, l->in_c, l->in_h, l->in_w);
    shape_text(out, l->out_c, l->out_h, l->out_w);
    if (l->gamma >= 0) grouped(norm, 2 * model->tensors[l->gamma].count);
    if (l->macs) grouped(macs, l->macs);
    print_row((const char *const[12]){number, l->label, kernel, then_text(l), in, out, rf, jump,
                                      count_of(weights, model, l->weight),
                                      count_of(bias, model, l->bias), norm, macs});
}

static void print_statistics(const nl_model *model, int batch) {
    char pairs_text[32], values_text[32];
    int64_t total = 0;
    for (int i = 0; i < model->n_layers; i++) {
        const nl_layer *l = &model->layers[i];
        if (!l->norm) continue;
        const int64_t pairs = nl_norm_sets(l, batch);
        const int64_t values = (int64_t)batch * l->out_c * l->out_h * l->out_w / pairs;
        if (!total) printf("\nNorm statistics of a training batch of %d images:\n", batch);
        printf("    norm%-3d %9s pairs of mean and variance, each over %s values\n", l->conv,
               grouped(pairs_text, pairs), grouped(values_text, values));
        total += pairs;
    }
    if (total) printf("    all     %9s pairs\n", grouped(pairs_text, total));
}

void nl_model_print(const nl_model *model, int batch) {
    char number[16], params[32], macs[32];
    print_row((const char *const[12]){"#", "layer", "kernel", "then", "input", "output", "rf",
                                      "jump", "weights", "bias", "norm", "MACs"});
    for (int i = 0; i < model->n_layers; i++) print_layer(model, i);
    snprintf(number, sizeof number, "%d", model->n_layers + 1);
    print_row((const char *const[12]){number, "softmax", "", "in the loss", "10", "10", "", "", "",
                                      "", "", ""});
    printf("\n%s parameters, %s multiply-adds (MACs) an image forward\n",
           grouped(params, model->n_params), grouped(macs, model->macs));
    print_statistics(model, batch);
}
