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


cdef inline void store_two(float* y, const float* start, Py_ssize_t j, vec c0, vec c1) noexcept nogil:
    # y + j = start + j, or zero, + c0, c1; GCC does not inline such a function of four vectors
    store(y + j, load_start(start, j) + c0)
    store(y + j + LANES, load_start(start, j + LANES) + c1)
