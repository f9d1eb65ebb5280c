# The dense layer: forward, and backward to input, weight and bias.

cdef void dense_forward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # y (n, out) = x (n, in) @ weight (in, out) + bias (out,) over the first half of the inputs; second (n, out) = the
    # same over the second half, without the bias; split over halves and samples; each sum over blocks of INPUT_BLOCK
    # inputs
    cdef float* y = op.a[0]
    cdef float* second = op.a[1]
    cdef const float* x = op.a[2]
    cdef const float* weight = op.a[3]
    cdef const float* bias = op.a[4]
    cdef Py_ssize_t n_in = op.n[1], n_out = op.n[2], p = 0, stop = first_half(n_in), first, last, width
    cdef const float* start = bias
    cdef int half
    for half in range(2):
        samples_of_half(op, half, begin, end, &first, &last)
        while first < last and (p < stop or p == 0):
            width = next_block(stop - p)
            multiply(y + first * n_out, n_out, start, 0 if start == bias else n_out, x + first * n_in + p, n_in, 1,
                     weight + p * n_out, n_out, False, last - first, width, n_out)
            start = y + first * n_out
            p += max(width, 1)
        p, stop, y, start = stop, n_in, second, NULL


cdef void add_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # y (n, d) += second (n, d); split over rows
    cdef float* y = op.a[0]
    cdef const float* second = op.a[1]
    cdef Py_ssize_t i
    for i in range(begin * op.n[1], end * op.n[1]):
        y[i] += second[i]


cdef int submit_forward(Op* op, float[:, ::1] y, object x, object weight, object bias) except -1:
    # submit a forward pass: the sums over both halves, then their sum
    cdef Op add
    cdef Py_ssize_t n = op.n[0], n_out = op.n[2]
    cdef bint halves = first_half(op.n[1]) < op.n[1]
    second = PyByteArray_FromStringAndSize(NULL, n * n_out * sizeof(float) if halves else 0)
    op.a[0], op.a[1] = &y[0, 0], <float*>PyByteArray_AS_STRING(second)
    split_in_halves(op)
    if halves and op.stealable and n_out >= PACKED_COLUMNS:  # enough samples for a copy of a strip of weights
        op.grain = min(block_count(n), <Py_ssize_t>WIDE_BLOCKS)
    submit(op, (y, second, x, weight, bias) if recording != NULL else None)
    if halves:
        init_op(&add, add_loop, SAMPLES, n, n * n_out, 2, 1, 0)
        add.a[0], add.a[1] = op.a[0], op.a[1]
        add.n[0], add.n[1] = n, n_out
        submit(&add, (y, second) if recording != NULL else None)
    return 0


def dense_forward(float[:, ::1] y, const float[:, ::1] x, const float[:, ::1] weight, const float[::1] bias):
    cdef Op op
    cdef Py_ssize_t n = x.shape[0], n_in = weight.shape[0], n_out = weight.shape[1]
    expect2("dense_forward", "x", n, x.shape[1], n, n_in)
    expect2("dense_forward", "y", y.shape[0], y.shape[1], n, n_out)
    expect("dense_forward", "bias", bias.shape[0], n_out)
    init_op(&op, dense_forward_loop, SAMPLES, n, n * n_in * n_out, 5, 2, 0b11000)
    op.a[2], op.a[3], op.a[4] = <float*>&x[0, 0], <float*>&weight[0, 0], <float*>&bias[0]
    op.n[0], op.n[1], op.n[2] = n, n_in, n_out
    submit_forward(&op, y, x, weight, bias)


cdef void dense_forward_uint8_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dense_forward of x (n, in) / 255
    cdef float* y = op.a[0]
    cdef const float* bias = op.a[4]
    cdef Py_ssize_t n_in = op.n[1], n_out = op.n[2], p = 0, stop = first_half(n_in), first, last
    cdef Py_ssize_t band = WIDE_BAND if n_out >= PACKED_COLUMNS else BAND
    cdef int half
    for half in range(2):
        samples_of_half(op, half, begin, end, &first, &last)
        while first < last:
            forward_pixels(op, y + first * n_out, bias, first, min(last - first, band), p, stop)
            first += band
        p, stop, y, bias = stop, n_in, op.a[1], NULL


def dense_forward_uint8(
    float[:, ::1] y, const unsigned char[:, ::1] x, const float[:, ::1] weight, const float[::1] bias
):
    cdef Op op
    cdef Py_ssize_t n = x.shape[0], n_in = weight.shape[0], n_out = weight.shape[1]
    expect2("dense_forward_uint8", "x", n, x.shape[1], n, n_in)
    expect2("dense_forward_uint8", "y", y.shape[0], y.shape[1], n, n_out)
    expect("dense_forward_uint8", "bias", bias.shape[0], n_out)
    init_op(&op, dense_forward_uint8_loop, SAMPLES, n, n * n_in * n_out // 4, 5, 2, 0b11000)
    op.gathered_input, op.stealable = 2, True
    op.a[2], op.a[3], op.a[4] = <float*>&x[0, 0], <float*>&weight[0, 0], <float*>&bias[0]
    op.n[0], op.n[1], op.n[2] = n, n_in, n_out
    submit_forward(&op, y, x, weight, bias)


cdef void dense_backward_input_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dx (n, in) = dy (n, out) @ weight (in, out)ᵀ; split over the rows of dx
    cdef float* dx = op.a[0]
    cdef const float* dy = op.a[1]
    cdef const float* weight = op.a[2]
    cdef Py_ssize_t n_in = op.n[1], n_out = op.n[2]
    cdef Py_ssize_t p = 0
    dx += begin * n_in
    while p < n_out or p == 0:
        multiply(dx, n_in, dx if p > 0 else NULL, n_in, dy + begin * n_out + p, n_out, 1, weight + p, n_out, True,
                 end - begin, min(n_out - p, <Py_ssize_t>INPUT_BLOCK), n_in)
        p += INPUT_BLOCK


cdef void few_products(
    float* y, const float* x, const float* w, Py_ssize_t ldw, Py_ssize_t rows, Py_ssize_t n
) noexcept nogil:
    # y (rows,) = w (rows, n) @ x (n,); rows ≤ 4. An addition waits for the one before to the same vector of sums, so
    # four rows are summed at once. The last row stands for the missing ones.
    cdef float sums[4 * LANES]
    cdef const float* w1 = w + ldw * (rows > 1)
    cdef const float* w2 = w1 + ldw * (rows > 2)
    cdef const float* w3 = w2 + ldw * (rows > 3)
    cdef vec c0 = splat(0), c1 = splat(0), c2 = splat(0), c3 = splat(0), v
    cdef Py_ssize_t i, j = 0, k
    while j < n:
        v = load_n(x + j, n - j)
        c0 = add_fused(c0, v, load_n(w + j, n - j))
        c1 = add_fused(c1, v, load_n(w1 + j, n - j))
        c2 = add_fused(c2, v, load_n(w2 + j, n - j))
        c3 = add_fused(c3, v, load_n(w3 + j, n - j))
        j += LANES
    store(sums, c0)
    store(sums + LANES, c1)
    store(sums + 2 * LANES, c2)
    store(sums + 3 * LANES, c3)
    for i in range(rows):
        y[i] = 0
        for k in range(LANES):
            y[i] += sums[i * LANES + k]


cdef void dense_backward_few_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dense_backward_input for few rows and a wide weight, which is read once, in its own order; split over the columns
    # of dx. With this and smaller panels of gradients, a step of one image by 784-2048-1024-10 takes 2.9 ms, not 4.2.
    cdef float* dx = op.a[0]
    cdef const float* dy = op.a[1]
    cdef const float* weight = op.a[2]
    cdef Py_ssize_t n_in = op.n[1], n_out = op.n[2], i, s
    for i in range(begin, end, 4):
        for s in range(op.n[0]):
            few_products(dx + s * n_in + i, dy + s * n_out, weight + i * n_out, n_out,
                         min(end - i, <Py_ssize_t>4), n_out)


def dense_backward_input(float[:, ::1] dx, const float[:, ::1] dy, const float[:, ::1] weight):
    cdef Op op
    cdef Py_ssize_t n = dy.shape[0], n_in = weight.shape[0], n_out = weight.shape[1]
    expect2("dense_backward_input", "dy", n, dy.shape[1], n, n_out)
    expect2("dense_backward_input", "dx", dx.shape[0], dx.shape[1], n, n_in)
    init_op(&op, dense_backward_input_loop, SAMPLES, n, n * n_in * n_out, 3, 1, 0b100)
    if n <= FEW_ROWS and n_out >= PACKED_COLUMNS:
        init_op(&op, dense_backward_few_loop, WEIGHT_ROWS, n_in, n * n_in * n_out, 3, 1, 0b110)
        op.grain, op.stealable = PANEL, True
    op.a[0], op.a[1], op.a[2] = &dx[0, 0], <float*>&dy[0, 0], <float*>&weight[0, 0]
    op.n[0], op.n[1], op.n[2] = n, n_in, n_out
    submit(&op, (dx, dy, weight) if recording != NULL else None)


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
    # dweight (in, out) = x (n, in)ᵀ @ dy (n, out), dbias (out,) = sum of dy's rows; split over the rows of dweight.
    # If gradients need not be kept after their update, each thread reuses its first rows, which stay in cache.
    cdef float* dweight = op.a[0]
    cdef float* dbias = op.a[1]
    cdef const float* dy = op.a[2]
    cdef const float* x = op.a[3]
    cdef float* rows_of
    cdef Py_ssize_t n = op.n[0], n_in = op.n[1], n_out = op.n[2], i = begin, rows, s, depth
    cdef Py_ssize_t panel = panel_rows(n_in, n_out)
    cdef bint keep = op.keep_gradient or op.update[0].rule == NULL
    if n <= FEW_ROWS and n_out >= PACKED_COLUMNS:
        panel = 2 * TILE_ROWS  # little work per gradient: it should not leave the cache before its update
    if begin == 0:
        column_sums(dbias, dy, n, n_out, 0, n_out)
        apply_update(op, 1, dbias, 0, n_out)
    while i < end:
        rows = min(end - i, panel)
        rows_of = dweight + (i if keep else first_owned) * n_out
        s = 0
        while s < n or s == 0:
            depth = min(n - s, <Py_ssize_t>GRADIENT_BLOCK)
            multiply(rows_of, n_out, rows_of if s > 0 else NULL, n_out, x + s * n_in + i, 1, n_in, dy + s * n_out,
                     n_out, False, rows, depth, n_out)
            s += GRADIENT_BLOCK
        apply_update(op, 0, rows_of, i * n_out, rows * n_out)
        i += panel


def dense_backward_weight(float[:, ::1] dweight, float[::1] dbias, const float[:, ::1] dy, const float[:, ::1] x):
    cdef Op op
    cdef Py_ssize_t n = x.shape[0], n_in = dweight.shape[0], n_out = dweight.shape[1]
    expect2("dense_backward_weight", "x", n, x.shape[1], n, n_in)
    expect2("dense_backward_weight", "dy", dy.shape[0], dy.shape[1], n, n_out)
    expect("dense_backward_weight", "dbias", dbias.shape[0], n_out)
    init_op(&op, dense_backward_weight_loop, WEIGHT_ROWS, n_in, n * n_in * n_out, 4, 2, 0b1110)
    op.grain = panel_rows(n_in, n_out) if first_half(n_in) < n_in else 1
    op.fusable_updates, op.stealable = 2, op.grain > 1
    op.a[0], op.a[1], op.a[2], op.a[3] = &dweight[0, 0], &dbias[0], <float*>&dy[0, 0], <float*>&x[0, 0]
    op.n[0], op.n[1], op.n[2] = n, n_in, n_out
    submit(&op, (dweight, dbias, dy, x) if recording != NULL else None)


cdef void dense_backward_weight_uint8_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dweight (in, out) = (x (n, in) / 255)ᵀ @ dy (n, out), dbias (out,) = sum of dy's rows; split over dweight's rows
    cdef float* dweight = op.a[0]
    cdef float* dbias = op.a[1]
    cdef const float* dy = op.a[2]
    cdef Py_ssize_t n = op.n[0], n_out = op.n[2], p = begin, s, width
    cdef bint keep = op.keep_gradient or op.update[0].rule == NULL
    if begin == 0:
        column_sums(dbias, dy, n, n_out, 0, n_out)
        apply_update(op, 1, dbias, 0, n_out)
    while p < end:
        width = min(end - p, <Py_ssize_t>CHUNK)
        s = 0
        while s < n or s == 0:
            backward_pixels(op, dweight + (p if keep else first_owned) * n_out, not keep, dy + s * n_out, s,
                            min(n - s, <Py_ssize_t>GRADIENT_BLOCK), p, width)
            s += GRADIENT_BLOCK
        p += CHUNK


def dense_backward_weight_uint8(
    float[:, ::1] dweight, float[::1] dbias, const float[:, ::1] dy, const unsigned char[:, ::1] x
):
    cdef Op op
    cdef Py_ssize_t n = x.shape[0], n_in = dweight.shape[0], n_out = dweight.shape[1]
    expect2("dense_backward_weight_uint8", "x", n, x.shape[1], n, n_in)
    expect2("dense_backward_weight_uint8", "dy", dy.shape[0], dy.shape[1], n, n_out)
    expect("dense_backward_weight_uint8", "dbias", dbias.shape[0], n_out)
    init_op(&op, dense_backward_weight_uint8_loop, WEIGHT_ROWS, n_in, n * n_in * n_out // 4, 4, 2, 0b1110)
    op.grain = CHUNK
    op.gathered_input, op.fusable_updates, op.stealable = 3, 2, True
    op.a[0], op.a[1], op.a[2], op.a[3] = &dweight[0, 0], &dbias[0], <float*>&dy[0, 0], <float*>&x[0, 0]
    op.n[0], op.n[1], op.n[2] = n, n_in, n_out
    submit(&op, (dweight, dbias, dy, x) if recording != NULL else None)
