/* The precision a plain source is compiled for: `real` and OP(name). */
#pragma once

#include "normlab/ops.h"     // the operations' declarations
#include "base/subnormals.h" // NL_KEEP, NL_FLUSH

#ifdef NL_DOUBLE
typedef double real;
enum { REAL_SUBNORMALS = NL_KEEP };
#define OP(name) nl_##name##_f64
#else
typedef float real;
enum { REAL_SUBNORMALS = NL_FLUSH };
#define OP(name) nl_##name##_f32
#endif
