# Loads and stores of one vector, or of the `left` numbers at the end of a row.

cdef inline vec load_start(const float* start, Py_ssize_t j) noexcept nogil:
    return load(start + j) if start != NULL else splat(0)


cdef inline vec load_n(const float* p, Py_ssize_t left) noexcept nogil:
    return load(p) if left >= LANES else load_partial(p, left)


cdef inline void store_n(float* p, vec v, Py_ssize_t left) noexcept nogil:
    if left >= LANES:
        store(p, v)
    else:
        store_partial(p, v, left)
