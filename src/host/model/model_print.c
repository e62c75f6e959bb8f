/* The table that `normlab summary` prints: one row a layer, then totals and the data that it is made
 * for, then how many pairs of mean and variance each norm takes of one training batch, and of how
 * many values. */
#include "normlab/model.h"

#include <stdio.h> // printf

#include "base/number.h" // nl_thousands

/* 1,234,567, empty for 0 */
static nl_number count_text(int64_t count) {
    return count ? nl_thousands(count) : (nl_number){""};
}

/* The count of a tensor, empty where there is none. */
static nl_number count_of(const nl_model *model, int tensor) {
    return count_text(tensor < 0 ? 0 : model->tensors[tensor].count);
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
    snprintf(number, sizeof number, "%d", index + 1);
    snprintf(rf, sizeof rf, "%d", l->rf);
    snprintf(jump, sizeof jump, "%d", l->jump);
    kernel_text(kernel, sizeof kernel, l);
    shape_text(in, l->in_c, l->in_h, l->in_w);
    shape_text(out, l->out_c, l->out_h, l->out_w);
    const nl_number norm = count_text(l->gamma < 0 ? 0 : 2 * model->tensors[l->gamma].count);
    print_row((const char *const[12]){
        number, l->label, kernel, then_text(l), in, out, rf, jump, count_of(model, l->weight).text,
        count_of(model, l->bias).text, norm.text, count_text(l->macs).text});
}

/* scripts/run.sh reads the set's name here. */
static void print_picture(const nl_picture *p) {
    char first[12], last[12];
    printf("Data: %s, images of %d x %d x %d in %d classes, %s to %s\n", p->set, p->shape.channels,
           p->shape.height, p->shape.width, p->classes, nl_class_name(p, 0, first),
           nl_class_name(p, p->classes - 1, last));
}

static void print_statistics(const nl_model *model, int batch) {
    int64_t total = 0;
    for (int i = 0; i < model->n_layers; i++) {
        const nl_layer *l = &model->layers[i];
        if (!l->norm) continue;
        const int64_t pairs = nl_norm_sets(l, batch);
        const int64_t values = (int64_t)batch * l->out_c * l->out_h * l->out_w / pairs;
        if (!total) printf("\nNorm statistics of a training batch of %d images:\n", batch);
        printf("    norm%-3d %9s pairs of mean and variance, each over %s values\n", l->conv,
               nl_thousands(pairs).text, nl_thousands(values).text);
        total += pairs;
    }
    if (total) printf("    all     %9s pairs\n", nl_thousands(total).text);
}

void nl_model_print(const nl_model *model, int batch) {
    char number[16], classes[16];
    print_row((const char *const[12]){"#", "layer", "kernel", "then", "input", "output", "rf",
                                      "jump", "weights", "bias", "norm", "MACs"});
    for (int i = 0; i < model->n_layers; i++) print_layer(model, i);
    snprintf(number, sizeof number, "%d", model->n_layers + 1);
    snprintf(classes, sizeof classes, "%d", model->picture.classes);
    print_row((const char *const[12]){number, "softmax", "", "in the loss", classes, classes, "",
                                      "", "", "", "", ""});
    printf("\n%s parameters, %s multiply-adds (MACs) an image forward\n",
           nl_thousands(model->n_params).text, nl_thousands(model->macs).text);
    print_picture(&model->picture);
    print_statistics(model, batch);
}
