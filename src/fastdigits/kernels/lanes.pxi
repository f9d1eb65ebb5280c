# A vector, or less: how kernels read, write and start the last few numbers of a row.

cdef inline vec base(const float* start, Py_ssize_t j) noexcept nogil:
    return load(start + j) if start != NULL else splat(0)


cdef inline vec get(const float* p, Py_ssize_t left) noexcept nogil:
    return load(p) if left >= LANES else load_some(p, left)


cdef inline void put(float* p, vec v, Py_ssize_t left) noexcept nogil:
    if left >= LANES:
        store(p, v)
    else:
        store_some(p, v, left)
