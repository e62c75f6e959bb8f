/* The table of one instruction set; see simd.h. */
#include "first.h"
#include "simd.h"
#include "vector.h" // NL_MOST_LANES

extern const nl_conv_ops NL_SIMD(conv);
extern const nl_norm_passes NL_SIMD(norm);
extern const nl_pool_ops NL_SIMD(pool);
extern const nl_moment_ops NL_SIMD(moments);
extern const nl_patch_ops NL_SIMD(patches);
extern const nl_first_ops NL_SIMD(first);

#define NL_TEXT(word) #word
#define NL_TEXT_OF(word) NL_TEXT(word)

const nl_simd NL_SIMD(simd) = {.name = NL_TEXT_OF(NL_ISA),
                               .lanes = NL_MOST_LANES,
                               .conv = &NL_SIMD(conv),
                               .norm = &NL_SIMD(norm),
                               .pool = &NL_SIMD(pool),
                               .moments = &NL_SIMD(moments),
                               .patches = &NL_SIMD(patches),
                               .first = &NL_SIMD(first)};
