# ReLU, LeakyReLU, softmax and dropout.

cdef void relu_forward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # y (n, d) = x where x > 0, else 0; NaN where x is NaN; split over rows
    cdef float* y = op.a[0]
    cdef const float* x = op.a[1]
    cdef Py_ssize_t i
    for i in range(begin * op.n[1], end * op.n[1]):
        y[i] = 0 if x[i] <= 0 else x[i]


def relu_forward(float[:, ::1] y, const float[:, ::1] x):
    cdef Op op
    expect2("relu_forward", "y", y.shape[0], y.shape[1], x.shape[0], x.shape[1])
    init_op(&op, relu_forward_loop, SAMPLES, x.shape[0], x.shape[0] * x.shape[1], 2, 1, 0)
    op.a[0], op.a[1] = &y[0, 0], <float*>&x[0, 0]
    op.n[0], op.n[1] = x.shape[0], x.shape[1]
    submit(&op, (y, x) if recording != NULL else None)


cdef void relu_backward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dx (n, d) = dy where y > 0, else 0; split over rows
    cdef float* dx = op.a[0]
    cdef const float* dy = op.a[1]
    cdef const float* y = op.a[2]
    cdef Py_ssize_t i
    for i in range(begin * op.n[1], end * op.n[1]):
        dx[i] = dy[i] if y[i] > 0 else 0


def relu_backward(float[:, ::1] dx, const float[:, ::1] dy, const float[:, ::1] y):
    cdef Op op
    expect2("relu_backward", "dy", dy.shape[0], dy.shape[1], y.shape[0], y.shape[1])
    expect2("relu_backward", "dx", dx.shape[0], dx.shape[1], y.shape[0], y.shape[1])
    init_op(&op, relu_backward_loop, SAMPLES, y.shape[0], y.shape[0] * y.shape[1], 3, 1, 0)
    op.a[0], op.a[1], op.a[2] = &dx[0, 0], <float*>&dy[0, 0], <float*>&y[0, 0]
    op.n[0], op.n[1] = y.shape[0], y.shape[1]
    submit(&op, (dx, dy, y) if recording != NULL else None)


cdef void leaky_relu_forward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # y (n, d) = x where x > 0, else slope · x; split over rows
    cdef float* y = op.a[0]
    cdef const float* x = op.a[1]
    cdef float slope = op.s[0]
    cdef Py_ssize_t i
    for i in range(begin * op.n[1], end * op.n[1]):
        y[i] = x[i] if x[i] > 0 else slope * x[i]


def leaky_relu_forward(float[:, ::1] y, const float[:, ::1] x, float slope):
    cdef Op op
    expect2("leaky_relu_forward", "y", y.shape[0], y.shape[1], x.shape[0], x.shape[1])
    init_op(&op, leaky_relu_forward_loop, SAMPLES, x.shape[0], x.shape[0] * x.shape[1], 2, 1, 0)
    op.a[0], op.a[1] = &y[0, 0], <float*>&x[0, 0]
    op.n[0], op.n[1] = x.shape[0], x.shape[1]
    op.s[0] = slope
    submit(&op, (y, x) if recording != NULL else None)


cdef void leaky_relu_backward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dx (n, d) = dy where x > 0, else slope · dy; split over rows
    cdef float* dx = op.a[0]
    cdef const float* dy = op.a[1]
    cdef const float* x = op.a[2]
    cdef float slope = op.s[0]
    cdef Py_ssize_t i
    for i in range(begin * op.n[1], end * op.n[1]):
        dx[i] = dy[i] if x[i] > 0 else slope * dy[i]


def leaky_relu_backward(float[:, ::1] dx, const float[:, ::1] dy, const float[:, ::1] x, float slope):
    cdef Op op
    expect2("leaky_relu_backward", "dy", dy.shape[0], dy.shape[1], x.shape[0], x.shape[1])
    expect2("leaky_relu_backward", "dx", dx.shape[0], dx.shape[1], x.shape[0], x.shape[1])
    init_op(&op, leaky_relu_backward_loop, SAMPLES, x.shape[0], x.shape[0] * x.shape[1], 3, 1, 0)
    op.a[0], op.a[1], op.a[2] = &dx[0, 0], <float*>&dy[0, 0], <float*>&x[0, 0]
    op.n[0], op.n[1] = x.shape[0], x.shape[1]
    op.s[0] = slope
    submit(&op, (dx, dy, x) if recording != NULL else None)


cdef void softmax_forward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # probs (n, d) = softmax of each row of logits (n, d); split over rows
    cdef Py_ssize_t d = op.n[1], i = begin
    cdef float largest[SAMPLE_BLOCK]
    cdef double totals[SAMPLE_BLOCK]
    while i < end:
        softmax_block(op.a[0] + i * d, totals, largest, op.a[1] + i * d, min(end - i, <Py_ssize_t>SAMPLE_BLOCK), d)
        i += SAMPLE_BLOCK


def softmax_forward(float[:, ::1] probs, const float[:, ::1] logits):
    cdef Op op
    expect2("softmax_forward", "probs", probs.shape[0], probs.shape[1], logits.shape[0], logits.shape[1])
    cdef Py_ssize_t n = logits.shape[0], d = logits.shape[1]
    init_op(&op, softmax_forward_loop, SAMPLES, n if d > 0 else 0, 8 * n * d, 2, 1, 0)
    op.a[0], op.a[1] = &probs[0, 0], <float*>&logits[0, 0]
    op.n[0], op.n[1] = logits.shape[0], logits.shape[1]
    submit(&op, (probs, logits) if recording != NULL else None)


cdef void softmax_backward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dlogits (n, d) = probs · (dprobs - sum over the row of dprobs · probs); split over rows
    cdef float* dlogits = op.a[0]
    cdef const float* dprobs = op.a[1]
    cdef const float* probs = op.a[2]
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
    cdef Py_ssize_t n = probs.shape[0], d = probs.shape[1]
    init_op(&op, softmax_backward_loop, SAMPLES, n if d > 0 else 0, 2 * n * d, 3, 1, 0)
    op.a[0], op.a[1], op.a[2] = &dlogits[0, 0], <float*>&dprobs[0, 0], <float*>&probs[0, 0]
    op.n[0], op.n[1] = probs.shape[0], probs.shape[1]
    submit(&op, (dlogits, dprobs, probs) if recording != NULL else None)


cdef void dropout_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # y (n, d) = x / (1 - rate) where u(seed, step, e) ≥ rate for element e, else 0; split over rows.
    # u is the top 24 bits of number e of SplitMix64, started at a mix of seed and step
    cdef float* y = op.a[0]
    cdef const float* x = op.a[1]
    cdef float rate = op.s[0], scale = op.s[1], u
    cdef uint64_t key = split_mix_at(op.seed, op.step[0] - 1)
    cdef Py_ssize_t e
    for e in range(begin * op.n[1], end * op.n[1]):
        u = <float>(split_mix_at(key, e) >> 40) * <float>(1.0 / 16777216)
        y[e] = x[e] * scale if u >= rate else 0


def dropout_forward(float[:, ::1] y, const float[:, ::1] x, const int64_t[::1] step, float rate, uint64_t seed):
    cdef Op op
    expect("dropout_forward", "step", step.shape[0], 1)
    expect2("dropout_forward", "y", y.shape[0], y.shape[1], x.shape[0], x.shape[1])
    init_op(&op, dropout_loop, SAMPLES, x.shape[0], 4 * x.shape[0] * x.shape[1], 2, 1, 0)
    op.a[0], op.a[1] = &y[0, 0], <float*>&x[0, 0]
    op.n[0], op.n[1] = x.shape[0], x.shape[1]
    op.s[0], op.s[1] = rate, <float>(1 / (1 - <double>rate))
    op.seed, op.step = seed, &step[0]
    submit(&op, (y, x, step) if recording != NULL else None)


def dropout_backward(float[:, ::1] dx, const float[:, ::1] dy, const int64_t[::1] step, float rate, uint64_t seed):
    cdef Op op
    expect("dropout_backward", "step", step.shape[0], 1)
    expect2("dropout_backward", "dx", dx.shape[0], dx.shape[1], dy.shape[0], dy.shape[1])
    init_op(&op, dropout_loop, SAMPLES, dy.shape[0], 4 * dy.shape[0] * dy.shape[1], 2, 1, 0)
    op.a[0], op.a[1] = &dx[0, 0], <float*>&dy[0, 0]
    op.n[0], op.n[1] = dy.shape[0], dy.shape[1]
    op.s[0], op.s[1] = rate, <float>(1 / (1 - <double>rate))
    op.seed, op.step = seed, &step[0]
    submit(&op, (dx, dy, step) if recording != NULL else None)
