/* Small synthetic data sets in IDX files, for tests: digits of a seven-segment display, shifted and
 * noisy, labels cycling through 0 to 9. A network that works learns them within a few steps.
 */
#pragma once

#include <stdbool.h> // bool
#include <stddef.h>  // size_t
#include <stdint.h>  // uint8_t, uint32_t

#include "normlab/picture.h" // nl_picture

enum { IDX_SIDE = 28, IDX_PIXELS = IDX_SIDE * IDX_SIDE, IDX_CLASSES = 10 };

/* MNIST's: what these sets are read as. */
const nl_picture *idx_set_picture(void);

/* Draws image `number` of a set: its label is number % 10. The same number, the same bytes. */
void idx_set_draw(uint8_t image[IDX_PIXELS], uint32_t number);

/* The content of a file: rank 3 (count images, with numbers from `first`) or rank 1
 * (their labels). The caller frees. */
uint8_t *idx_set_content(size_t *size, uint32_t first, uint32_t count, int rank);

/* Writes a file of these bytes, gzipped or not; aborts where that fails. */
void idx_set_save(const char *path, const void *bytes, size_t size, bool gzip);

/* Writes the four files of a set into the folder, which is made if missing. Train and test images
 * differ. */
void idx_set_write(const char *dir, uint32_t n_train, uint32_t n_test, bool gzip);

/* A new folder under $TMPDIR or /tmp, removed with all it holds by temp_dir_remove. */
char *temp_dir_make(void);
void temp_dir_remove(char *dir);
