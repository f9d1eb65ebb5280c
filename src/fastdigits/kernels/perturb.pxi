# Move samples by a step of a given length along their gradients: adversarial examples.

cdef double sum_of_squares(const float* x, Py_ssize_t n) noexcept nogil:
    # in double, as four sums, which compilers turn into vectors
    cdef double total[4]
    cdef Py_ssize_t i = 0
    cdef int e
    memset(total, 0, sizeof(total))
    while i + 4 <= n:
        for e in range(4):
            total[e] += <double>x[i + e] * x[i + e]
        i += 4
    for i in range(i, n):
        total[0] += <double>x[i] * x[i]
    return (total[0] + total[1]) + (total[2] + total[3])


cdef void perturb_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # samples (n, d) += length · dx / ‖dx‖ for each row; 0 where dx is zero; split over rows
    cdef Py_ssize_t d = op.n[1], i, j
    cdef float* x
    cdef const float* dx
    cdef double norm, scale
    for i in range(begin, end):
        x, dx = op.a[0] + i * d, op.a[1] + i * d
        norm = sqrt(sum_of_squares(dx, d))
        scale = op.s[0] / norm if norm != 0 else 0  # in double: the gradients of sure predictions are tiny
        for j in range(d):
            x[j] = <float>(x[j] + scale * dx[j])


def perturb(float[:, ::1] samples, const float[:, ::1] dx, float length):
    cdef Op op
    cdef Py_ssize_t n = dx.shape[0], d = dx.shape[1]
    expect2("perturb", "samples", samples.shape[0], samples.shape[1], n, d)
    init_op(&op, perturb_loop, SAMPLES, n, 2 * n * d, 2, 1, 0)
    op.a[0], op.a[1] = &samples[0, 0], <float*>&dx[0, 0]
    op.n[0], op.n[1] = n, d
    op.s[0] = length
    submit(&op, (samples, dx) if recording != NULL else None)
