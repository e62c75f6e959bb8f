/* Subnormal numbers (below 1.2e-38 in float) cost the processor ten times and more, and weights
 * that nothing holds up shrink into them and stay there. The float engines take them for zero, as
 * operands and as results; that is a mode of each thread, set around all their work. The oracle in
 * double keeps them, whatever the caller's mode is.
 *
 *     const unsigned mode = nl_subnormals(NL_FLUSH);
 *     ... work ...
 *     nl_subnormals_restore(mode);
 *
 * Known to x86-64 alone; elsewhere nothing changes. */
#pragma once

#ifdef __SSE__
#include <xmmintrin.h> // _mm_getcsr, _mm_setcsr
#endif

enum { NL_KEEP = 0, NL_FLUSH = 0x8040 }; /* flush to zero and denormals are zero, in MXCSR */

static inline void nl_subnormals_restore(unsigned mode) {
#ifdef __SSE__
    _mm_setcsr((_mm_getcsr() & ~(unsigned)NL_FLUSH) | mode);
#else
    (void)mode;
#endif
}

/* Sets this thread's mode and returns the former one. */
static inline unsigned nl_subnormals(unsigned mode) {
#ifdef __SSE__
    const unsigned former = _mm_getcsr() & NL_FLUSH;
#else
    const unsigned former = NL_KEEP;
#endif
    nl_subnormals_restore(mode);
    return former;
}
