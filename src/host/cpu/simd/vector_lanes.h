/* Part of vector.h, included once for each LANES. */
NL_INLINE VEC V(load)(const float *p) {
    VEC v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

NL_INLINE void V(store)(float *p, VEC v) {
    __builtin_memcpy(p, &v, sizeof v);
}

NL_INLINE INTS V(load_ints)(const int32_t *p) {
    INTS v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

NL_INLINE void V(store_ints)(int32_t *p, INTS v) {
    __builtin_memcpy(p, &v, sizeof v);
}
#undef LANES
