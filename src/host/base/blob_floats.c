/* Tensors of the floating-point types as floats. */
#include <math.h>   // isfinite, ldexpf
#include <string.h> // memcpy

#include "archive.h"

/* IEEE 754 binary16: 1 sign, 5 exponent, 10 mantissa bits; every value is a float too. */
static float from_half(uint16_t half) {
    const int exponent = half >> 10 & 31, mantissa = half & 1023;
    const uint32_t sign = (uint32_t)(half >> 15) << 31;
    if (exponent == 31) { /* infinite, or NaN with its payload */
        const uint32_t bits = sign | 0x7f800000u | (uint32_t)mantissa << 13;
        float value;
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    const float size =
        exponent ? ldexpf((float)(1024 + mantissa), exponent - 25) : ldexpf((float)mantissa, -24);
    return sign ? -size : size;
}

/* The upper half of a float. */
static float from_brain(uint16_t brain) {
    const uint32_t bits = (uint32_t)brain << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static int from_doubles(float *to, const nl_blob *blob, int64_t count, const char *path,
                        nl_error *err) {
    for (int64_t i = 0; i < count; i++) {
        double value;
        memcpy(&value, (const char *)blob->data + i * (int64_t)sizeof value, sizeof value);
        to[i] = (float)value;
        if (isfinite(value) && !isfinite(to[i]))
            return nl_fail(err, NL_EDATA, path, "tensor %s: %g at index %lld is too large for F32",
                           blob->name, value, (long long)i);
    }
    return NL_OK;
}

int nl_blob_to_floats(float *to, const nl_blob *blob, int64_t count, const char *path,
                      nl_error *err) {
    const char *data = blob->data;
    switch (blob->dtype) {
    case NL_F32:
        if (count > 0) memcpy(to, data, (size_t)count * sizeof *to);
        return NL_OK;
    case NL_F64:
        return from_doubles(to, blob, count, path, err);
    case NL_F16:
    case NL_BF16:
        for (int64_t i = 0; i < count; i++) {
            uint16_t bits;
            memcpy(&bits, data + i * (int64_t)sizeof bits, sizeof bits);
            to[i] = blob->dtype == NL_F16 ? from_half(bits) : from_brain(bits);
        }
        return NL_OK;
    default:
        nl_fail(err, NL_EDATA, path, "tensor %s: dtype is %s", blob->name,
                nl_dtypes[blob->dtype].name);
        nl_hint(err, "weights are read as F32, F64, F16 or BF16");
        return NL_EDATA;
    }
}
