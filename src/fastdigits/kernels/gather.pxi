# Gather kernels: copy the samples of a step.

cdef int expect_rows(str door, const int64_t[::1] rows, Py_ssize_t n) except -1:
    cdef Py_ssize_t i
    if recording != NULL and rows.shape[0] > 0 and &rows[0] == &(<Program>recording).rows[0]:
        # Program.run fills them and checks them
        (<Program>recording).row_count = min((<Program>recording).row_count, n)
        return 0
    for i in range(rows.shape[0]):
        if rows[i] < 0 or rows[i] >= n:
            raise ValueError(f"{door}: rows must lie in 0 … {n - 1}; got {rows[i]}")
    return 0


cdef void gather_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # row i of y = row rows[i] of x; a row is n[1] numbers of n[2] bytes; split like the first layer: a thread copies
    # the inputs that it will use
    cdef char* y = <char*>op.a[0]
    cdef const char* x = <const char*>op.a[1]
    cdef const int64_t* rows = <const int64_t*>op.a[2]
    cdef Py_ssize_t size = op.n[1] * op.n[2], start = 0, stop = first_half(op.n[1]) * op.n[2], first, last, i
    cdef int half
    for half in range(2):
        samples_of_half(op, half, begin, end, &first, &last)
        for i in range(first, last):
            if size == sizeof(int64_t):  # a label; a copy of known size is not a call
                memcpy(y + i * size, x + rows[i] * size, sizeof(int64_t))
            else:
                memcpy(y + i * size + start, x + rows[i] * size + start, stop - start)
        start, stop = stop, size


cdef int submit_gather(
    void* y, const void* x, const int64_t[::1] rows, Py_ssize_t d, Py_ssize_t bytes_, tuple arrays
) except -1:
    cdef Op op
    init_op(&op, gather_loop, SAMPLES, rows.shape[0], rows.shape[0] * d * bytes_ // 32, 3, 1, 0b110)
    op.a[0], op.a[1], op.a[2] = <float*>y, <float*>x, <float*>&rows[0]
    op.n[0], op.n[1], op.n[2] = rows.shape[0], d, bytes_
    op.is_gather = True
    split_in_halves(&op)
    submit(&op, arrays)
    return 0


def gather(float[:, ::1] y, const float[:, ::1] x, const int64_t[::1] rows):
    cdef Py_ssize_t n = rows.shape[0], d = x.shape[1]
    expect2("gather", "y", y.shape[0], y.shape[1], n, d)
    expect_rows("gather", rows, x.shape[0])
    submit_gather(&y[0, 0], &x[0, 0], rows, d, sizeof(float), (y, x, rows) if recording != NULL else None)


def gather_uint8(unsigned char[:, ::1] y, const unsigned char[:, ::1] x, const int64_t[::1] rows):
    cdef Py_ssize_t n = rows.shape[0], d = x.shape[1]
    expect2("gather_uint8", "y", y.shape[0], y.shape[1], n, d)
    expect_rows("gather_uint8", rows, x.shape[0])
    submit_gather(&y[0, 0], &x[0, 0], rows, d, 1, (y, x, rows) if recording != NULL else None)


def gather_labels(int64_t[::1] y, const int64_t[::1] x, const int64_t[::1] rows):
    cdef Py_ssize_t n = rows.shape[0]
    expect("gather_labels", "y", y.shape[0], n)
    expect_rows("gather_labels", rows, x.shape[0])
    submit_gather(&y[0], &x[0], rows, 1, sizeof(int64_t), (y, x, rows) if recording != NULL else None)


cdef void gather_pixels_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # y (n, d) = x[rows] / 255, for networks whose first layer takes floats only; split over rows
    cdef float* y = op.a[0]
    cdef const uint8_t* x = <const uint8_t*>op.a[1]
    cdef const int64_t* rows = <const int64_t*>op.a[2]
    cdef Py_ssize_t d = op.n[1], i
    cdef const uint8_t* image
    for i in range(begin, end):
        image = x + rows[i] * d
        scale_pixels(y + i * d, &image, 0, 1, d)


def gather_pixels(float[:, ::1] y, const unsigned char[:, ::1] x, const int64_t[::1] rows):
    cdef Op op
    cdef Py_ssize_t n = rows.shape[0], d = x.shape[1]
    expect2("gather_pixels", "y", y.shape[0], y.shape[1], n, d)
    expect_rows("gather_pixels", rows, x.shape[0])
    init_op(&op, gather_pixels_loop, SAMPLES, n, n * d // 8, 3, 1, 0b110)
    op.a[0], op.a[1], op.a[2] = &y[0, 0], <float*>&x[0, 0], <float*>&rows[0]
    op.n[0], op.n[1] = n, d
    submit(&op, (y, x, rows) if recording != NULL else None)


cdef void gather_weights_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # total (1,) = sum of x[rows]; y (n,) = x[rows] / total, or 0 where that is 0; not split
    cdef float* y = op.a[0]
    cdef double* total = <double*>op.a[1]
    cdef const float* x = op.a[2]
    cdef const int64_t* rows = <const int64_t*>op.a[3]
    cdef Py_ssize_t n = op.n[0], i
    cdef double mass = 0
    for i in range(n):
        mass += x[rows[i]]
    for i in range(n):
        y[i] = <float>(x[rows[i]] / mass) if mass > 0 else 0
    total[0] = mass


def gather_weights(float[::1] y, double[::1] total, const float[::1] x, const int64_t[::1] rows):
    cdef Op op
    cdef Py_ssize_t n = rows.shape[0]
    expect("gather_weights", "y", y.shape[0], n)
    expect("gather_weights", "total", total.shape[0], 1)
    expect_rows("gather_weights", rows, x.shape[0])
    init_op(&op, gather_weights_loop, UNSPLIT, 1, n, 4, 2, 0b1111)
    op.a[0], op.a[1], op.a[2], op.a[3] = &y[0], <float*>&total[0], <float*>&x[0], <float*>&rows[0]
    op.n[0] = n
    submit(&op, (y, total, x, rows) if recording != NULL else None)
