/* The precision a plain source is compiled for: `real` and OP(name). */
#pragma once

#include "normlab/ops.h" // the operations' declarations

#ifdef NL_DOUBLE
typedef double real;
#define OP(name) nl_##name##_f64
#else
typedef float real;
#define OP(name) nl_##name##_f32
#endif
