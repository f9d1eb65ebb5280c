# The peak rate of multiply-adds of a core, to compare kernels with.

def multiply_add(Py_ssize_t count):
    """Run 12 independent vector multiply-adds ``count`` times, in registers: the peak rate of a core."""
    cdef vec c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11
    cdef vec a = splat(<float>0.999), b = splat(<float>0.001)
    cdef Py_ssize_t i
    cdef float lanes[16]
    cdef uint64_t mode = float_mode_enter()
    c0, c1, c2, c3 = splat(0), splat(1), splat(2), splat(3)  # different values, or the compiler merges the sums
    c4, c5, c6, c7 = splat(4), splat(5), splat(6), splat(7)
    c8, c9, c10, c11 = splat(8), splat(9), splat(10), splat(11)
    with nogil:
        for i in range(count):
            c0 = b + a * c0
            c1 = b + a * c1
            c2 = b + a * c2
            c3 = b + a * c3
            c4 = b + a * c4
            c5 = b + a * c5
            c6 = b + a * c6
            c7 = b + a * c7
            c8 = b + a * c8
            c9 = b + a * c9
            c10 = b + a * c10
            c11 = b + a * c11
    store(lanes, c0 + c1 + c2 + c3 + c4 + c5 + c6 + c7 + c8 + c9 + c10 + c11)
    float_mode_leave(mode)
    return lanes[0]
