# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""Every compute loop of the package, ruled into sections: dense, activations, batchnorm, loss, optimizers.

Design note
-----------
Two storeys. A *door* is a ``def`` on typed memoryviews: it checks that sizes agree, writes pointers and sizes into an
``Op`` and hands it over. A *loop* is ``cdef … noexcept nogil``: it unpacks the ``Op`` and computes a part of the
outputs, those numbered ``begin`` to ``end``. Because a loop is always split over outputs and never over a sum, each
output is computed by the same instructions in the same order, whoever computes which part. Arguments come in one
order everywhere: outputs, inputs, sizes, scalars. Forward stands right above its backward.

Dense layers are one register-blocked matrix product (``multiply``) used three times: six rows by two vectors of the
result stay in twelve registers while the sum runs. Left to the compiler, the same loop over a local array is twenty
times slower. Each output starts from its bias and adds its products one by one in order; so a product with a zero
factor may be skipped, and a sum may be cut into blocks, without changing a bit.

Sums over a batch (means, variances, bias gradients) run in double precision: their error does not grow with the batch.
"""

from libc.math cimport log, pow, sqrt, sqrtf
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memset

cdef extern from "_vector.h" nogil:
    ctypedef float vec  # LANES floats; Cython may take it for one float: it only ever writes + and * on it
    enum: LANES
    vec splat(float x)
    vec load(const float* p)
    vec load_some(const float* p, Py_ssize_t count)
    void store(float* p, vec v)
    void store_some(float* p, vec v, Py_ssize_t count)
    int32_t bits_of(float x)
    float float_of(int32_t i)
    uint64_t float_mode_enter()
    void float_mode_leave(uint64_t old)

ctypedef void (*Loop)(const Op*, Py_ssize_t, Py_ssize_t) noexcept nogil

cdef struct Op:  # one kernel with its arguments bound
    Loop loop
    float* f[8]  # float arrays, in the order of the door's arguments
    const uint8_t* pixels
    const int64_t* labels
    Py_ssize_t n[3]  # sizes: rows, then columns
    float s[8]  # scalars, as the loop wants them
    uint64_t key
    Py_ssize_t items  # how many outputs (rows, columns or elements) the loop may be split over


cdef void run(const Op* op) noexcept nogil:
    cdef uint64_t mode = float_mode_enter()
    op.loop(op, 0, op.items)
    float_mode_leave(mode)


cdef int expect(str door, str name, Py_ssize_t got, Py_ssize_t want) except -1:
    if got != want:
        raise ValueError(f"{door}: {name} must be ({want},); got ({got},)")
    return 0


cdef int expect2(
    str door, str name, Py_ssize_t got_rows, Py_ssize_t got_cols, Py_ssize_t rows, Py_ssize_t cols
) except -1:
    if got_rows != rows or got_cols != cols:
        raise ValueError(f"{door}: {name} must be ({rows}, {cols}); got ({got_rows}, {got_cols})")
    return 0


# == dense =============================================================================================================

cdef enum:
    ROWS = 6  # of a tile; with two vectors across, its 12 sums, 2 factors and 1 broadcast fit into 16 registers
    COLS = 2 * LANES
    DEPTH = 256  # of a packed panel of b: DEPTH × COLS floats stay in the first-level cache
    BAND = 24  # rows of pixels that are widened to floats at a time


cdef void tile(
    float* c, Py_ssize_t ldc, const float* start, Py_ssize_t ld_start, const float* a, Py_ssize_t row, Py_ssize_t step,
    const float* b, Py_ssize_t ldb, Py_ssize_t k, Py_ssize_t rows,
) noexcept nogil:
    # c (6, COLS) = start (6, COLS) + a (rows, k) @ b (k, COLS); rows of a beyond the last repeat it
    cdef const float* a0 = a
    cdef const float* a1 = a0 + row * (rows > 1)
    cdef const float* a2 = a1 + row * (rows > 2)
    cdef const float* a3 = a2 + row * (rows > 3)
    cdef const float* a4 = a3 + row * (rows > 4)
    cdef const float* a5 = a4 + row * (rows > 5)
    cdef vec c00 = load(start), c01 = load(start + LANES)
    start += ld_start
    cdef vec c10 = load(start), c11 = load(start + LANES)
    start += ld_start
    cdef vec c20 = load(start), c21 = load(start + LANES)
    start += ld_start
    cdef vec c30 = load(start), c31 = load(start + LANES)
    start += ld_start
    cdef vec c40 = load(start), c41 = load(start + LANES)
    start += ld_start
    cdef vec c50 = load(start), c51 = load(start + LANES)
    cdef vec b0, b1, x
    cdef Py_ssize_t p = 0, stop = k * step
    while p != stop:
        b0 = load(b)
        b1 = load(b + LANES)
        b += ldb
        x = splat(a0[p])
        c00 = c00 + x * b0
        c01 = c01 + x * b1
        x = splat(a1[p])
        c10 = c10 + x * b0
        c11 = c11 + x * b1
        x = splat(a2[p])
        c20 = c20 + x * b0
        c21 = c21 + x * b1
        x = splat(a3[p])
        c30 = c30 + x * b0
        c31 = c31 + x * b1
        x = splat(a4[p])
        c40 = c40 + x * b0
        c41 = c41 + x * b1
        x = splat(a5[p])
        c50 = c50 + x * b0
        c51 = c51 + x * b1
        p += step
    store(c, c00)
    store(c + LANES, c01)
    c += ldc
    store(c, c10)
    store(c + LANES, c11)
    c += ldc
    store(c, c20)
    store(c + LANES, c21)
    c += ldc
    store(c, c30)
    store(c + LANES, c31)
    c += ldc
    store(c, c40)
    store(c + LANES, c41)
    c += ldc
    store(c, c50)
    store(c + LANES, c51)


cdef void partial_tile(
    float* c, Py_ssize_t ldc, const float* start, Py_ssize_t ld_start, const float* a, Py_ssize_t row, Py_ssize_t step,
    const float* b, Py_ssize_t ldb, Py_ssize_t k, Py_ssize_t rows, Py_ssize_t cols,
) noexcept nogil:
    # the same for the right and lower edge of c, where fewer than 6 rows or COLS columns are left
    cdef float whole[ROWS * COLS]
    cdef Py_ssize_t i
    memset(whole, 0, sizeof(whole))
    for i in range(rows):
        memcpy(whole + i * COLS, start + i * ld_start, cols * sizeof(float))
    tile(whole, COLS, whole, COLS, a, row, step, b, ldb, k, rows)
    for i in range(rows):
        memcpy(c + i * ldc, whole + i * COLS, cols * sizeof(float))


cdef void one_row(
    float* c, const float* start, const float* a, Py_ssize_t step, const float* b, Py_ssize_t ldb, Py_ssize_t k,
    Py_ssize_t n,
) noexcept nogil:
    # c (n,) = start (n,) + a (k,) @ b (k, n): four vectors of c at a time, then one, then the rest of one
    cdef vec c0, c1, c2, c3, x
    cdef Py_ssize_t j = 0, p
    while j + 4 * LANES <= n:
        c0 = load(start + j)
        c1 = load(start + j + LANES)
        c2 = load(start + j + 2 * LANES)
        c3 = load(start + j + 3 * LANES)
        for p in range(k):
            x = splat(a[p * step])
            c0 = c0 + x * load(b + p * ldb + j)
            c1 = c1 + x * load(b + p * ldb + j + LANES)
            c2 = c2 + x * load(b + p * ldb + j + 2 * LANES)
            c3 = c3 + x * load(b + p * ldb + j + 3 * LANES)
        store(c + j, c0)
        store(c + j + LANES, c1)
        store(c + j + 2 * LANES, c2)
        store(c + j + 3 * LANES, c3)
        j += 4 * LANES
    while j + LANES <= n:
        c0 = load(start + j)
        for p in range(k):
            c0 = c0 + splat(a[p * step]) * load(b + p * ldb + j)
        store(c + j, c0)
        j += LANES
    if j < n:
        c0 = load_some(start + j, n - j)
        for p in range(k):
            c0 = c0 + splat(a[p * step]) * load_some(b + p * ldb + j, n - j)
        store_some(c + j, c0, n - j)


cdef void pack(
    float* panel, const float* b, Py_ssize_t ldb, bint transposed, Py_ssize_t k, Py_ssize_t cols
) noexcept nogil:
    # panel (k, COLS) = b (k, cols), or the transpose of b (cols, k); columns beyond cols are zero
    cdef Py_ssize_t p, j
    if cols < COLS:
        memset(panel, 0, k * COLS * sizeof(float))
    if transposed:
        for j in range(cols):
            for p in range(k):
                panel[p * COLS + j] = b[j * ldb + p]
    else:
        for p in range(k):
            memcpy(panel + p * COLS, b + p * ldb, cols * sizeof(float))


cdef void multiply(
    float* c, Py_ssize_t ldc, const float* start, Py_ssize_t ld_start, const float* a, Py_ssize_t row, Py_ssize_t step,
    const float* b, Py_ssize_t ldb, bint transposed, Py_ssize_t rows, Py_ssize_t k, Py_ssize_t n,
) noexcept nogil:
    # c (rows, n) = start + a (rows, k) @ b, where b is (k, n), or (n, k) and transposed. Element (i, p) of a is
    # a[i·row + p·step]. start is (rows, n) with rows ld_start apart; ld_start = 0 repeats one row (a bias).
    cdef float panel[DEPTH * COLS]
    cdef const float* block
    cdef Py_ssize_t p = 0, depth, j, i, cols, ld_block
    if rows == 1 and not transposed:
        one_row(c, start, a, step, b, ldb, k, n)
        return
    while p < k or p == 0:  # at least one round, so that start reaches c where there is nothing to add
        depth = min(k - p, <Py_ssize_t>DEPTH)
        j = 0
        while j < n:
            cols = min(n - j, <Py_ssize_t>COLS)
            # Rows of b that lie a page apart share few cache sets; a copy pays once several tiles use it.
            if transposed or cols < COLS or (rows >= 4 * ROWS and ldb >= 256):
                pack(panel, b + j * ldb + p if transposed else b + p * ldb + j, ldb, transposed, depth, cols)
                block = panel
                ld_block = COLS
            else:
                block = b + p * ldb + j
                ld_block = ldb
            i = 0
            while i < rows:
                if rows - i >= ROWS and cols == COLS:
                    tile(c + i * ldc + j, ldc, start + i * ld_start + j, ld_start,
                         a + i * row + p * step, row, step, block, ld_block, depth, ROWS)
                else:
                    partial_tile(c + i * ldc + j, ldc, start + i * ld_start + j, ld_start,
                                 a + i * row + p * step, row, step, block, ld_block, depth,
                                 min(rows - i, <Py_ssize_t>ROWS), cols)
                i += ROWS
            j += COLS
        start = c
        ld_start = ldc
        p += DEPTH


cdef void widen(
    float* band, const uint8_t* pixels, Py_ssize_t stride, Py_ssize_t rows, Py_ssize_t cols
) noexcept nogil:
    # band (rows, cols) = pixels (rows, cols) / 255; rows of pixels lie stride apart
    cdef Py_ssize_t i, j
    for i in range(rows):
        for j in range(cols):
            band[i * cols + j] = <float>pixels[i * stride + j] / <float>255.0


cdef void dense_forward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # y (n, out) = x (n, in) @ weight (in, out) + bias (out,); split over the rows of y
    cdef float* y = op.f[0]
    cdef const float* x = op.f[1]
    cdef const float* weight = op.f[2]
    cdef const float* bias = op.f[3]
    cdef Py_ssize_t n_in = op.n[1], n_out = op.n[2]
    multiply(y + begin * n_out, n_out, bias, 0, x + begin * n_in, n_in, 1,
             weight, n_out, False, end - begin, n_in, n_out)


def dense_forward(float[:, ::1] y, const float[:, ::1] x, const float[:, ::1] weight, const float[::1] bias):
    cdef Op op
    cdef Py_ssize_t n = x.shape[0], n_in = weight.shape[0], n_out = weight.shape[1]
    expect2("dense_forward", "x", n, x.shape[1], n, n_in)
    expect2("dense_forward", "y", y.shape[0], y.shape[1], n, n_out)
    expect("dense_forward", "bias", bias.shape[0], n_out)
    op.loop = dense_forward_loop
    op.f[0], op.f[1], op.f[2], op.f[3] = &y[0, 0], <float*>&x[0, 0], <float*>&weight[0, 0], <float*>&bias[0]
    op.n[0], op.n[1], op.n[2] = n, n_in, n_out
    op.items = n
    with nogil:
        run(&op)


cdef void dense_forward_uint8_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # y (n, out) = x (n, in) / 255 @ weight (in, out) + bias (out,); split over the rows of y
    cdef float* y = op.f[0]
    cdef const uint8_t* x = op.pixels
    cdef const float* weight = op.f[2]
    cdef const float* bias = op.f[3]
    cdef Py_ssize_t n_in = op.n[1], n_out = op.n[2], i = begin, p, rows, depth
    cdef float band[BAND * DEPTH]
    while i < end:
        rows = min(end - i, <Py_ssize_t>BAND)
        p = 0
        while p < n_in:
            depth = min(n_in - p, <Py_ssize_t>DEPTH)
            widen(band, x + i * n_in + p, n_in, rows, depth)
            multiply(y + i * n_out, n_out, bias if p == 0 else y + i * n_out, 0 if p == 0 else n_out,
                     band, depth, 1, weight + p * n_out, n_out, False, rows, depth, n_out)
            p += DEPTH
        i += BAND


def dense_forward_uint8(
    float[:, ::1] y, const unsigned char[:, ::1] x, const float[:, ::1] weight, const float[::1] bias
):
    cdef Op op
    cdef Py_ssize_t n = x.shape[0], n_in = weight.shape[0], n_out = weight.shape[1]
    expect2("dense_forward_uint8", "x", n, x.shape[1], n, n_in)
    expect2("dense_forward_uint8", "y", y.shape[0], y.shape[1], n, n_out)
    expect("dense_forward_uint8", "bias", bias.shape[0], n_out)
    op.loop = dense_forward_uint8_loop
    op.f[0], op.f[2], op.f[3] = &y[0, 0], <float*>&weight[0, 0], <float*>&bias[0]
    op.pixels = &x[0, 0]
    op.n[0], op.n[1], op.n[2] = n, n_in, n_out
    op.items = n
    with nogil:
        run(&op)


cdef void dense_backward_input_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dx (n, in) = dy (n, out) @ weight (in, out)ᵀ; split over the rows of dx
    cdef float* dx = op.f[0]
    cdef const float* dy = op.f[1]
    cdef const float* weight = op.f[2]
    cdef Py_ssize_t n_in = op.n[1], n_out = op.n[2]
    dx += begin * n_in
    memset(dx, 0, (end - begin) * n_in * sizeof(float))
    multiply(dx, n_in, dx, n_in, dy + begin * n_out, n_out, 1, weight, n_out, True, end - begin, n_out, n_in)


def dense_backward_input(float[:, ::1] dx, const float[:, ::1] dy, const float[:, ::1] weight):
    cdef Op op
    cdef Py_ssize_t n = dy.shape[0], n_in = weight.shape[0], n_out = weight.shape[1]
    expect2("dense_backward_input", "dy", n, dy.shape[1], n, n_out)
    expect2("dense_backward_input", "dx", dx.shape[0], dx.shape[1], n, n_in)
    op.loop = dense_backward_input_loop
    op.f[0], op.f[1], op.f[2] = &dx[0, 0], <float*>&dy[0, 0], <float*>&weight[0, 0]
    op.n[0], op.n[1], op.n[2] = n, n_in, n_out
    op.items = n
    with nogil:
        run(&op)


cdef void column_sums(
    float* total, const float* x, Py_ssize_t n, Py_ssize_t d, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil:
    # total (d,) = sum of the rows of x (n, d), for the columns begin to end
    cdef double sums[64]
    cdef Py_ssize_t j = begin, width, i, k
    while j < end:
        width = min(end - j, <Py_ssize_t>64)
        memset(sums, 0, sizeof(sums))
        for i in range(n):
            for k in range(width):
                sums[k] += x[i * d + j + k]
        for k in range(width):
            total[j + k] = <float>sums[k]
        j += width


cdef void dense_backward_weight_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dweight (in, out) = x (n, in)ᵀ @ dy (n, out), dbias (out,) = sum of dy's rows; split over the rows of dweight
    cdef float* dweight = op.f[0]
    cdef float* dbias = op.f[1]
    cdef const float* dy = op.f[2]
    cdef const float* x = op.f[3]
    cdef Py_ssize_t n = op.n[0], n_in = op.n[1], n_out = op.n[2]
    if begin == 0:
        column_sums(dbias, dy, n, n_out, 0, n_out)
    dweight += begin * n_out
    memset(dweight, 0, (end - begin) * n_out * sizeof(float))
    multiply(dweight, n_out, dweight, n_out, x + begin, 1, n_in, dy, n_out, False, end - begin, n, n_out)


def dense_backward_weight(float[:, ::1] dweight, float[::1] dbias, const float[:, ::1] dy, const float[:, ::1] x):
    cdef Op op
    cdef Py_ssize_t n = x.shape[0], n_in = dweight.shape[0], n_out = dweight.shape[1]
    expect2("dense_backward_weight", "x", n, x.shape[1], n, n_in)
    expect2("dense_backward_weight", "dy", dy.shape[0], dy.shape[1], n, n_out)
    expect("dense_backward_weight", "dbias", dbias.shape[0], n_out)
    op.loop = dense_backward_weight_loop
    op.f[0], op.f[1], op.f[2], op.f[3] = &dweight[0, 0], &dbias[0], <float*>&dy[0, 0], <float*>&x[0, 0]
    op.n[0], op.n[1], op.n[2] = n, n_in, n_out
    op.items = n_in
    with nogil:
        run(&op)


cdef void dense_backward_weight_uint8_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dweight (in, out) = (x (n, in) / 255)ᵀ @ dy (n, out), dbias (out,); split over the rows of dweight
    cdef float* dweight = op.f[0]
    cdef float* dbias = op.f[1]
    cdef const float* dy = op.f[2]
    cdef const uint8_t* x = op.pixels
    cdef Py_ssize_t n = op.n[0], n_in = op.n[1], n_out = op.n[2], i = begin, p, rows, depth
    cdef float band[BAND * DEPTH]
    if begin == 0:
        column_sums(dbias, dy, n, n_out, 0, n_out)
    memset(dweight + begin * n_out, 0, (end - begin) * n_out * sizeof(float))
    while i < end:
        rows = min(end - i, <Py_ssize_t>BAND)
        p = 0
        while p < n:
            depth = min(n - p, <Py_ssize_t>DEPTH)
            widen(band, x + p * n_in + i, n_in, depth, rows)
            multiply(dweight + i * n_out, n_out, dweight + i * n_out, n_out, band, 1, rows,
                     dy + p * n_out, n_out, False, rows, depth, n_out)
            p += DEPTH
        i += BAND


def dense_backward_weight_uint8(
    float[:, ::1] dweight, float[::1] dbias, const float[:, ::1] dy, const unsigned char[:, ::1] x
):
    cdef Op op
    cdef Py_ssize_t n = x.shape[0], n_in = dweight.shape[0], n_out = dweight.shape[1]
    expect2("dense_backward_weight_uint8", "x", n, x.shape[1], n, n_in)
    expect2("dense_backward_weight_uint8", "dy", dy.shape[0], dy.shape[1], n, n_out)
    expect("dense_backward_weight_uint8", "dbias", dbias.shape[0], n_out)
    op.loop = dense_backward_weight_uint8_loop
    op.f[0], op.f[1], op.f[2] = &dweight[0, 0], &dbias[0], <float*>&dy[0, 0]
    op.pixels = &x[0, 0]
    op.n[0], op.n[1], op.n[2] = n, n_in, n_out
    op.items = n_in
    with nogil:
        run(&op)


# == activations =======================================================================================================

cdef void relu_forward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # y (n, d) = x where x > 0, else 0; a NaN stays one; split over elements
    cdef float* y = op.f[0]
    cdef const float* x = op.f[1]
    cdef Py_ssize_t i
    for i in range(begin, end):
        y[i] = 0 if x[i] <= 0 else x[i]


def relu_forward(float[:, ::1] y, const float[:, ::1] x):
    cdef Op op
    expect2("relu_forward", "y", y.shape[0], y.shape[1], x.shape[0], x.shape[1])
    op.loop = relu_forward_loop
    op.f[0], op.f[1] = &y[0, 0], <float*>&x[0, 0]
    op.items = x.shape[0] * x.shape[1]
    with nogil:
        run(&op)


cdef void relu_backward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dx (n, d) = dy where y > 0, else 0; split over elements
    cdef float* dx = op.f[0]
    cdef const float* dy = op.f[1]
    cdef const float* y = op.f[2]
    cdef Py_ssize_t i
    for i in range(begin, end):
        dx[i] = dy[i] if y[i] > 0 else 0


def relu_backward(float[:, ::1] dx, const float[:, ::1] dy, const float[:, ::1] y):
    cdef Op op
    expect2("relu_backward", "dy", dy.shape[0], dy.shape[1], y.shape[0], y.shape[1])
    expect2("relu_backward", "dx", dx.shape[0], dx.shape[1], y.shape[0], y.shape[1])
    op.loop = relu_backward_loop
    op.f[0], op.f[1], op.f[2] = &dx[0, 0], <float*>&dy[0, 0], <float*>&y[0, 0]
    op.items = y.shape[0] * y.shape[1]
    with nogil:
        run(&op)


cdef void leaky_relu_forward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # y (n, d) = x where x > 0, else slope · x; split over elements
    cdef float* y = op.f[0]
    cdef const float* x = op.f[1]
    cdef float slope = op.s[0]
    cdef Py_ssize_t i
    for i in range(begin, end):
        y[i] = x[i] if x[i] > 0 else slope * x[i]


def leaky_relu_forward(float[:, ::1] y, const float[:, ::1] x, float slope):
    cdef Op op
    expect2("leaky_relu_forward", "y", y.shape[0], y.shape[1], x.shape[0], x.shape[1])
    op.loop = leaky_relu_forward_loop
    op.f[0], op.f[1] = &y[0, 0], <float*>&x[0, 0]
    op.s[0] = slope
    op.items = x.shape[0] * x.shape[1]
    with nogil:
        run(&op)


cdef void leaky_relu_backward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dx (n, d) = dy where x > 0, else slope · dy; split over elements
    cdef float* dx = op.f[0]
    cdef const float* dy = op.f[1]
    cdef const float* x = op.f[2]
    cdef float slope = op.s[0]
    cdef Py_ssize_t i
    for i in range(begin, end):
        dx[i] = dy[i] if x[i] > 0 else slope * dy[i]


def leaky_relu_backward(float[:, ::1] dx, const float[:, ::1] dy, const float[:, ::1] x, float slope):
    cdef Op op
    expect2("leaky_relu_backward", "dy", dy.shape[0], dy.shape[1], x.shape[0], x.shape[1])
    expect2("leaky_relu_backward", "dx", dx.shape[0], dx.shape[1], x.shape[0], x.shape[1])
    op.loop = leaky_relu_backward_loop
    op.f[0], op.f[1], op.f[2] = &dx[0, 0], <float*>&dy[0, 0], <float*>&x[0, 0]
    op.s[0] = slope
    op.items = x.shape[0] * x.shape[1]
    with nogil:
        run(&op)


cdef inline float exponential(float x) noexcept nogil:
    # eˣ for x ≤ 0, within 2 units in the last place; below -87 (where e^x leaves the normal floats) e^-87.
    # x = n ln 2 + r with |r| ≤ ln 2 / 2: adding 1.5 · 2^23 rounds x / ln 2 to the integer n and leaves it in the low
    # bits; ln 2 is subtracted in two parts; Taylor's polynomial of degree 7 has error 2^-27 on that interval.
    x = -87 if x < -87 else x
    cdef float shifted = x * <float>1.44269504 + <float>12582912.0
    cdef float n = shifted - <float>12582912.0
    cdef float r = (x - n * <float>0.693359375) + n * <float>2.12194440e-4
    cdef float p = <float>(1.0 / 5040)
    p = p * r + <float>(1.0 / 720)
    p = p * r + <float>(1.0 / 120)
    p = p * r + <float>(1.0 / 24)
    p = p * r + <float>(1.0 / 6)
    p = p * r + <float>0.5
    p = p * r + <float>1.0
    p = p * r + <float>1.0
    return p * float_of((bits_of(shifted) - bits_of(<float>12582912.0) + 127) << 23)


cdef float maximum(const float* x, Py_ssize_t d) noexcept nogil:
    cdef float largest = x[0]
    cdef Py_ssize_t j
    for j in range(1, d):
        largest = x[j] if x[j] > largest else largest
    return largest


cdef double softmax_row(float* probs, const float* logits, float largest, Py_ssize_t d) noexcept nogil:
    # probs (d,) = e^(logits - largest) / their sum; returns the sum
    cdef double total = 0
    cdef float scale
    cdef Py_ssize_t j
    for j in range(d):
        probs[j] = exponential(logits[j] - largest)
    for j in range(d):
        total += probs[j]
    scale = <float>(1 / total)
    for j in range(d):
        probs[j] *= scale
    return total


cdef void softmax_forward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # probs (n, d) = softmax of each row of logits (n, d); split over rows
    cdef float* probs = op.f[0]
    cdef const float* logits = op.f[1]
    cdef Py_ssize_t d = op.n[1], i
    for i in range(begin, end):
        softmax_row(probs + i * d, logits + i * d, maximum(logits + i * d, d), d)


def softmax_forward(float[:, ::1] probs, const float[:, ::1] logits):
    cdef Op op
    expect2("softmax_forward", "probs", probs.shape[0], probs.shape[1], logits.shape[0], logits.shape[1])
    op.loop = softmax_forward_loop
    op.f[0], op.f[1] = &probs[0, 0], <float*>&logits[0, 0]
    op.n[0], op.n[1] = logits.shape[0], logits.shape[1]
    op.items = logits.shape[0] if logits.shape[1] > 0 else 0
    with nogil:
        run(&op)


cdef void softmax_backward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dlogits (n, d) = probs · (dprobs - sum over the row of dprobs · probs); split over rows
    cdef float* dlogits = op.f[0]
    cdef const float* dprobs = op.f[1]
    cdef const float* probs = op.f[2]
    cdef Py_ssize_t d = op.n[1], i, j
    cdef double total
    for i in range(begin, end):
        total = 0
        for j in range(i * d, i * d + d):
            total += dprobs[j] * probs[j]
        for j in range(i * d, i * d + d):
            dlogits[j] = probs[j] * (dprobs[j] - <float>total)


def softmax_backward(float[:, ::1] dlogits, const float[:, ::1] dprobs, const float[:, ::1] probs):
    cdef Op op
    expect2("softmax_backward", "dprobs", dprobs.shape[0], dprobs.shape[1], probs.shape[0], probs.shape[1])
    expect2("softmax_backward", "dlogits", dlogits.shape[0], dlogits.shape[1], probs.shape[0], probs.shape[1])
    op.loop = softmax_backward_loop
    op.f[0], op.f[1], op.f[2] = &dlogits[0, 0], <float*>&dprobs[0, 0], <float*>&probs[0, 0]
    op.n[0], op.n[1] = probs.shape[0], probs.shape[1]
    op.items = probs.shape[0] if probs.shape[1] > 0 else 0
    with nogil:
        run(&op)


cdef void dropout_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # y (n, d) = x / (1 - rate) where element e draws u(key, e) ≥ rate, else 0; split over elements.
    # u is the top 24 bits of output e + 1 of SplitMix64 (Steele, Lea and Flood 2014) started at key.
    cdef float* y = op.f[0]
    cdef const float* x = op.f[1]
    cdef float rate = op.s[0], scale = op.s[1], u
    cdef uint64_t z
    cdef Py_ssize_t e
    for e in range(begin, end):
        z = op.key + <uint64_t>(e + 1) * <uint64_t>0x9E3779B97F4A7C15
        z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
        z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
        z = z ^ (z >> 31)
        u = <float>(z >> 40) * <float>(1.0 / 16777216)
        y[e] = x[e] * scale if u >= rate else 0


def dropout_forward(float[:, ::1] y, const float[:, ::1] x, float rate, uint64_t key):
    cdef Op op
    expect2("dropout_forward", "y", y.shape[0], y.shape[1], x.shape[0], x.shape[1])
    op.loop = dropout_loop
    op.f[0], op.f[1] = &y[0, 0], <float*>&x[0, 0]
    op.s[0], op.s[1] = rate, <float>(1 / (1 - <double>rate))
    op.key = key
    op.items = x.shape[0] * x.shape[1]
    with nogil:
        run(&op)


def dropout_backward(float[:, ::1] dx, const float[:, ::1] dy, float rate, uint64_t key):
    cdef Op op
    expect2("dropout_backward", "dx", dx.shape[0], dx.shape[1], dy.shape[0], dy.shape[1])
    op.loop = dropout_loop
    op.f[0], op.f[1] = &dx[0, 0], <float*>&dy[0, 0]
    op.s[0], op.s[1] = rate, <float>(1 / (1 - <double>rate))
    op.key = key
    op.items = dy.shape[0] * dy.shape[1]
    with nogil:
        run(&op)


# == batchnorm =========================================================================================================

cdef void batchnorm_forward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # x_hat (n, d) = (x - mean) · inv_std, y (n, d) = gamma · x_hat + beta; running_mean and running_var (d,) move by
    # momentum towards the batch's mean and unbiased variance; split over columns, 64 at a time
    cdef float* y = op.f[0]
    cdef float* x_hat = op.f[1]
    cdef float* inv_std = op.f[2]
    cdef float* running_mean = op.f[3]
    cdef float* running_var = op.f[4]
    cdef const float* x = op.f[5]
    cdef const float* gamma = op.f[6]
    cdef const float* beta = op.f[7]
    cdef Py_ssize_t n = op.n[0], d = op.n[1], j = begin, width, i, k, e
    cdef float momentum = op.s[0], eps = op.s[1], centred
    cdef double squares[64]
    cdef float mean[64]
    while j < end:
        width = min(end - j, <Py_ssize_t>64)
        column_sums(mean - j, x, n, d, j, j + width)
        for k in range(width):
            mean[k] /= n
        memset(squares, 0, sizeof(squares))
        for i in range(n):
            for k in range(width):
                centred = x[i * d + j + k] - mean[k]
                squares[k] += centred * centred
        for k in range(width):
            inv_std[j + k] = <float>(1 / sqrt(squares[k] / n + eps))
            running_mean[j + k] += momentum * (mean[k] - running_mean[j + k])
            running_var[j + k] += momentum * (<float>(squares[k] / (n - 1)) - running_var[j + k])
        for i in range(n):
            for k in range(width):
                e = i * d + j + k
                x_hat[e] = (x[e] - mean[k]) * inv_std[j + k]
                y[e] = gamma[j + k] * x_hat[e] + beta[j + k]
        j += width


def batchnorm_forward(
    float[:, ::1] y, float[:, ::1] x_hat, float[::1] inv_std, float[::1] running_mean, float[::1] running_var,
    const float[:, ::1] x, const float[::1] gamma, const float[::1] beta, float momentum, float eps,
):
    cdef Op op
    cdef Py_ssize_t n = x.shape[0], d = x.shape[1]
    if n < 2:
        raise ValueError(f"batchnorm_forward: x must have at least 2 rows to have a variance; got {n}")
    expect2("batchnorm_forward", "y", y.shape[0], y.shape[1], n, d)
    expect2("batchnorm_forward", "x_hat", x_hat.shape[0], x_hat.shape[1], n, d)
    expect("batchnorm_forward", "inv_std", inv_std.shape[0], d)
    expect("batchnorm_forward", "running_mean", running_mean.shape[0], d)
    expect("batchnorm_forward", "running_var", running_var.shape[0], d)
    expect("batchnorm_forward", "gamma", gamma.shape[0], d)
    expect("batchnorm_forward", "beta", beta.shape[0], d)
    op.loop = batchnorm_forward_loop
    op.f[0], op.f[1], op.f[2], op.f[3], op.f[4] = (
        &y[0, 0], &x_hat[0, 0], &inv_std[0], &running_mean[0], &running_var[0])
    op.f[5], op.f[6], op.f[7] = <float*>&x[0, 0], <float*>&gamma[0], <float*>&beta[0]
    op.n[0], op.n[1] = n, d
    op.s[0], op.s[1] = momentum, eps
    op.items = d
    with nogil:
        run(&op)


cdef void batchnorm_inference_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # y (n, d) = gamma · (x - running_mean) / sqrt(running_var + eps) + beta; split over rows
    cdef float* y = op.f[0]
    cdef const float* x = op.f[1]
    cdef const float* gamma = op.f[2]
    cdef const float* beta = op.f[3]
    cdef const float* running_mean = op.f[4]
    cdef const float* running_var = op.f[5]
    cdef Py_ssize_t d = op.n[1], i, j
    cdef float eps = op.s[0]
    for i in range(begin, end):
        for j in range(d):
            y[i * d + j] = (x[i * d + j] - running_mean[j]) / sqrtf(running_var[j] + eps) * gamma[j] + beta[j]


def batchnorm_inference(
    float[:, ::1] y, const float[:, ::1] x, const float[::1] gamma, const float[::1] beta,
    const float[::1] running_mean, const float[::1] running_var, float eps,
):
    cdef Op op
    cdef Py_ssize_t n = x.shape[0], d = x.shape[1]
    expect2("batchnorm_inference", "y", y.shape[0], y.shape[1], n, d)
    expect("batchnorm_inference", "gamma", gamma.shape[0], d)
    expect("batchnorm_inference", "beta", beta.shape[0], d)
    expect("batchnorm_inference", "running_mean", running_mean.shape[0], d)
    expect("batchnorm_inference", "running_var", running_var.shape[0], d)
    op.loop = batchnorm_inference_loop
    op.f[0], op.f[1], op.f[2], op.f[3] = &y[0, 0], <float*>&x[0, 0], <float*>&gamma[0], <float*>&beta[0]
    op.f[4], op.f[5] = <float*>&running_mean[0], <float*>&running_var[0]
    op.n[0], op.n[1] = n, d
    op.s[0] = eps
    op.items = n
    with nogil:
        run(&op)


cdef void batchnorm_backward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dgamma (d,) = sum of dy · x_hat, dbeta (d,) = sum of dy, over the rows;
    # dx (n, d) = gamma · inv_std · (dy - dbeta / n - x_hat · dgamma / n); split over columns, 64 at a time
    cdef float* dx = op.f[0]
    cdef float* dgamma = op.f[1]
    cdef float* dbeta = op.f[2]
    cdef const float* dy = op.f[3]
    cdef const float* x_hat = op.f[4]
    cdef const float* gamma = op.f[5]
    cdef const float* inv_std = op.f[6]
    cdef Py_ssize_t n = op.n[0], d = op.n[1], j = begin, width, i, k, e
    cdef double sums[64]
    cdef double products[64]
    cdef float scale[64]
    cdef float mean_dy[64]
    cdef float mean_product[64]
    while j < end:
        width = min(end - j, <Py_ssize_t>64)
        memset(sums, 0, sizeof(sums))
        memset(products, 0, sizeof(products))
        for i in range(n):
            for k in range(width):
                e = i * d + j + k
                sums[k] += dy[e]
                products[k] += dy[e] * x_hat[e]
        for k in range(width):
            dbeta[j + k] = <float>sums[k]
            dgamma[j + k] = <float>products[k]
            scale[k] = gamma[j + k] * inv_std[j + k]
            mean_dy[k] = <float>(sums[k] / n)
            mean_product[k] = <float>(products[k] / n)
        for i in range(n):
            for k in range(width):
                e = i * d + j + k
                dx[e] = scale[k] * (dy[e] - mean_dy[k] - x_hat[e] * mean_product[k])
        j += width


def batchnorm_backward(
    float[:, ::1] dx, float[::1] dgamma, float[::1] dbeta, const float[:, ::1] dy, const float[:, ::1] x_hat,
    const float[::1] gamma, const float[::1] inv_std,
):
    cdef Op op
    cdef Py_ssize_t n = dy.shape[0], d = dy.shape[1]
    expect2("batchnorm_backward", "dx", dx.shape[0], dx.shape[1], n, d)
    expect2("batchnorm_backward", "x_hat", x_hat.shape[0], x_hat.shape[1], n, d)
    expect("batchnorm_backward", "dgamma", dgamma.shape[0], d)
    expect("batchnorm_backward", "dbeta", dbeta.shape[0], d)
    expect("batchnorm_backward", "gamma", gamma.shape[0], d)
    expect("batchnorm_backward", "inv_std", inv_std.shape[0], d)
    op.loop = batchnorm_backward_loop
    op.f[0], op.f[1], op.f[2] = &dx[0, 0], &dgamma[0], &dbeta[0]
    op.f[3], op.f[4], op.f[5], op.f[6] = <float*>&dy[0, 0], <float*>&x_hat[0, 0], <float*>&gamma[0], <float*>&inv_std[0]
    op.n[0], op.n[1] = n, d
    op.items = d
    with nogil:
        run(&op)


# == loss ==============================================================================================================

cdef int expect_labels(str door, const int64_t[::1] labels, Py_ssize_t classes) except -1:
    cdef Py_ssize_t i
    for i in range(labels.shape[0]):
        if labels[i] < 0 or labels[i] >= classes:
            raise ValueError(f"{door}: labels must lie in 0 … {classes - 1}; got {labels[i]} at row {i}")
    return 0


cdef void softmax_cross_entropy_forward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # probs (n, c) = softmax of each row of logits (n, c);
    # losses (n,) = -weights · sum over the row of target · log probs; split over rows.
    # log probs = logits - largest - log(total), never the logarithm of a rounded probability
    cdef float* losses = op.f[0]
    cdef float* probs = op.f[1]
    cdef const float* logits = op.f[2]
    cdef const float* weights = op.f[3]
    cdef Py_ssize_t c = op.n[1], i, j
    cdef double smoothing = op.s[0], log_total, mean, loss
    cdef const float* row
    cdef float largest
    for i in range(begin, end):
        row = logits + i * c
        largest = maximum(row, c)
        log_total = log(softmax_row(probs + i * c, row, largest, c))
        loss = (1 - smoothing) * (log_total - (row[op.labels[i]] - largest))
        if smoothing > 0:
            mean = 0
            for j in range(c):
                mean += row[j] - largest
            loss += smoothing * (log_total - mean / c)
        losses[i] = <float>(weights[i] * loss)


def softmax_cross_entropy_forward(
    float[::1] losses, float[:, ::1] probs, const float[:, ::1] logits, const int64_t[::1] labels,
    const float[::1] weights, float smoothing,
):
    cdef Op op
    cdef Py_ssize_t n = logits.shape[0], c = logits.shape[1]
    expect("softmax_cross_entropy_forward", "losses", losses.shape[0], n)
    expect2("softmax_cross_entropy_forward", "probs", probs.shape[0], probs.shape[1], n, c)
    expect("softmax_cross_entropy_forward", "labels", labels.shape[0], n)
    expect("softmax_cross_entropy_forward", "weights", weights.shape[0], n)
    expect_labels("softmax_cross_entropy_forward", labels, c)
    op.loop = softmax_cross_entropy_forward_loop
    op.f[0], op.f[1], op.f[2], op.f[3] = &losses[0], &probs[0, 0], <float*>&logits[0, 0], <float*>&weights[0]
    op.labels = &labels[0]
    op.n[0], op.n[1] = n, c
    op.s[0] = smoothing
    op.items = n
    with nogil:
        run(&op)


cdef void softmax_cross_entropy_backward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dlogits (n, c) = weights · (probs - target), target = (1 - smoothing) · one-hot + smoothing / c; split over rows
    cdef float* dlogits = op.f[0]
    cdef const float* probs = op.f[1]
    cdef const float* weights = op.f[2]
    cdef Py_ssize_t c = op.n[1], i, j
    cdef float smoothing = op.s[0], share = smoothing / c
    for i in range(begin, end):
        for j in range(c):
            dlogits[i * c + j] = weights[i] * (probs[i * c + j] - share)
        j = i * c + op.labels[i]
        dlogits[j] = weights[i] * (probs[j] - (1 - smoothing + share))


def softmax_cross_entropy_backward(
    float[:, ::1] dlogits, const float[:, ::1] probs, const int64_t[::1] labels, const float[::1] weights,
    float smoothing,
):
    cdef Op op
    cdef Py_ssize_t n = probs.shape[0], c = probs.shape[1]
    expect2("softmax_cross_entropy_backward", "dlogits", dlogits.shape[0], dlogits.shape[1], n, c)
    expect("softmax_cross_entropy_backward", "labels", labels.shape[0], n)
    expect("softmax_cross_entropy_backward", "weights", weights.shape[0], n)
    expect_labels("softmax_cross_entropy_backward", labels, c)
    op.loop = softmax_cross_entropy_backward_loop
    op.f[0], op.f[1], op.f[2] = &dlogits[0, 0], <float*>&probs[0, 0], <float*>&weights[0]
    op.labels = &labels[0]
    op.n[0], op.n[1] = n, c
    op.s[0] = smoothing
    op.items = n
    with nogil:
        run(&op)


# == optimizers ========================================================================================================

cdef void sgd_update_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # value (n,) -= lr · grad (n,)
    cdef float* value = op.f[0]
    cdef const float* grad = op.f[1]
    cdef float lr = op.s[0]
    cdef Py_ssize_t i
    for i in range(begin, end):
        value[i] -= lr * grad[i]


def sgd_update(float[::1] value, const float[::1] grad, float lr):
    cdef Op op
    expect("sgd_update", "grad", grad.shape[0], value.shape[0])
    op.loop = sgd_update_loop
    op.f[0], op.f[1] = &value[0], <float*>&grad[0]
    op.s[0] = lr
    op.items = value.shape[0]
    with nogil:
        run(&op)


cdef void momentum_update_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # velocity (n,) = momentum · velocity + grad; value (n,) -= lr · (grad · on_grad + velocity · on_velocity), where
    # (on_grad, on_velocity) is (0, 1), or (1, momentum) for Nesterov's form
    cdef float* value = op.f[0]
    cdef float* velocity = op.f[1]
    cdef const float* grad = op.f[2]
    cdef float lr = op.s[0], momentum = op.s[1], on_grad = op.s[2], on_velocity = op.s[3]
    cdef Py_ssize_t i
    for i in range(begin, end):
        velocity[i] = momentum * velocity[i] + grad[i]
        value[i] -= lr * (on_grad * grad[i] + on_velocity * velocity[i])


def momentum_update(
    float[::1] value, float[::1] velocity, const float[::1] grad, float lr, float momentum, bint nesterov
):
    cdef Op op
    expect("momentum_update", "velocity", velocity.shape[0], value.shape[0])
    expect("momentum_update", "grad", grad.shape[0], value.shape[0])
    op.loop = momentum_update_loop
    op.f[0], op.f[1], op.f[2] = &value[0], &velocity[0], <float*>&grad[0]
    op.s[0], op.s[1] = lr, momentum
    op.s[2], op.s[3] = nesterov, momentum if nesterov else 1
    op.items = value.shape[0]
    with nogil:
        run(&op)


cdef void rmsprop_update_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # square (n,) = decay · square + (1 - decay) · grad²; value (n,) -= lr · grad / (sqrt(square) + eps)
    cdef float* value = op.f[0]
    cdef float* square = op.f[1]
    cdef const float* grad = op.f[2]
    cdef float lr = op.s[0], decay = op.s[1], rest = op.s[2], eps = op.s[3]
    cdef Py_ssize_t i
    for i in range(begin, end):
        square[i] = decay * square[i] + rest * grad[i] * grad[i]
        value[i] -= lr * grad[i] / (sqrtf(square[i]) + eps)


def rmsprop_update(
    float[::1] value, float[::1] square, const float[::1] grad, double lr, double decay, double eps
):
    cdef Op op
    expect("rmsprop_update", "square", square.shape[0], value.shape[0])
    expect("rmsprop_update", "grad", grad.shape[0], value.shape[0])
    op.loop = rmsprop_update_loop
    op.f[0], op.f[1], op.f[2] = &value[0], &square[0], <float*>&grad[0]
    op.s[0], op.s[1], op.s[2], op.s[3] = lr, decay, 1 - decay, eps
    op.items = value.shape[0]
    with nogil:
        run(&op)


cdef void adam_update_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # m (n,) = beta1 · m + (1 - beta1) · grad; v (n,) = beta2 · v + (1 - beta2) · grad²;
    # value (n,) = value · keep - rate · m / (sqrt(v) · root + eps), where rate = lr / (1 - beta1^step),
    # root = 1 / sqrt(1 - beta2^step), keep = 1 - lr · weight_decay
    cdef float* value = op.f[0]
    cdef float* m = op.f[1]
    cdef float* v = op.f[2]
    cdef const float* grad = op.f[3]
    cdef float rate = op.s[0], keep = op.s[1], root = op.s[2], eps = op.s[3]
    cdef float beta1 = op.s[4], rest1 = op.s[5], beta2 = op.s[6], rest2 = op.s[7]
    cdef Py_ssize_t i
    for i in range(begin, end):
        m[i] = beta1 * m[i] + rest1 * grad[i]
        v[i] = beta2 * v[i] + rest2 * grad[i] * grad[i]
        value[i] = keep * value[i] - rate * m[i] / (sqrtf(v[i]) * root + eps)


def adam_update(
    float[::1] value, float[::1] m, float[::1] v, const float[::1] grad,
    double lr, double beta1, double beta2, double eps, double weight_decay, Py_ssize_t step,
):
    cdef Op op
    if step < 1:
        raise ValueError(f"adam_update: step must be at least 1, the first update; got {step}")
    expect("adam_update", "m", m.shape[0], value.shape[0])
    expect("adam_update", "v", v.shape[0], value.shape[0])
    expect("adam_update", "grad", grad.shape[0], value.shape[0])
    op.loop = adam_update_loop
    op.f[0], op.f[1], op.f[2], op.f[3] = &value[0], &m[0], &v[0], <float*>&grad[0]
    op.s[0], op.s[1] = lr / (1 - pow(beta1, step)), 1 - lr * weight_decay
    op.s[2], op.s[3] = 1 / sqrt(1 - pow(beta2, step)), eps
    op.s[4], op.s[5], op.s[6], op.s[7] = beta1, 1 - beta1, beta2, 1 - beta2
    op.items = value.shape[0]
    with nogil:
        run(&op)
