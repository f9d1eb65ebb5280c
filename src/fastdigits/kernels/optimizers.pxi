# Updates: SGD, Momentum, RMSprop, Adam; gradient clipping, averaged weights.

cdef void update_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # one update of value (n,) and its state; split over elements
    apply_update(op, 0, op.a[1] + begin, begin, end - begin)


cdef int submit_update(Update* rule, Py_ssize_t n, double lr, tuple arrays) except -1:
    cdef Op op
    init_op(&op, update_loop, WEIGHT_ROWS, n, 4 * n, 2, 1, 0)
    op.is_update = True
    op.a[0], op.a[1] = rule.value, rule.grad
    if recording == NULL:  # a program prepares rules in each step
        rule.prepare(rule, lr)
    op.update[0] = rule[0]
    submit(&op, arrays)
    return 0


cdef void set_lr(Update* u, double lr) noexcept nogil:
    u.s[0] = <float>lr


cdef void sgd_rule(const Update* u, const float* grad, Py_ssize_t offset, Py_ssize_t count) noexcept nogil:
    # value -= lr · grad
    cdef float* value = u.value + offset
    cdef vec lr = splat(u.s[0])
    cdef Py_ssize_t i = 0, left
    while i < count:
        left = count - i
        store_n(value + i, load_n(value + i, left) - lr * load_n(grad + i, left), left)
        i += LANES


def sgd_update(float[::1] value, const float[::1] grad, double lr):
    cdef Update u
    memset(&u, 0, sizeof(u))
    expect("sgd_update", "grad", grad.shape[0], value.shape[0])
    u.rule, u.prepare, u.value, u.grad = sgd_rule, set_lr, &value[0], <float*>&grad[0]
    submit_update(&u, value.shape[0], lr, (value, grad) if recording != NULL else None)


cdef void momentum_rule(const Update* u, const float* grad, Py_ssize_t offset, Py_ssize_t count) noexcept nogil:
    # velocity = momentum · velocity + grad; value -= lr · (on_grad · grad + on_velocity · velocity), where
    # (on_grad, on_velocity) is (0, 1), or (1, momentum) for Nesterov's form
    cdef float* value = u.value + offset
    cdef float* velocity = u.state[0] + offset
    cdef vec lr = splat(u.s[0]), momentum = splat(u.s[1]), on_grad = splat(u.s[2]), on_velocity = splat(u.s[3])
    cdef vec g, v
    cdef Py_ssize_t i = 0, left
    while i < count:
        left = count - i
        g = load_n(grad + i, left)
        v = momentum * load_n(velocity + i, left) + g
        store_n(velocity + i, v, left)
        store_n(value + i, load_n(value + i, left) - lr * (on_grad * g + on_velocity * v), left)
        i += LANES


def momentum_update(
    float[::1] value, float[::1] velocity, const float[::1] grad, double lr, double momentum, bint nesterov
):
    cdef Update u
    memset(&u, 0, sizeof(u))
    expect("momentum_update", "velocity", velocity.shape[0], value.shape[0])
    expect("momentum_update", "grad", grad.shape[0], value.shape[0])
    u.rule, u.prepare, u.value, u.grad = momentum_rule, set_lr, &value[0], <float*>&grad[0]
    u.state[0] = &velocity[0]
    u.s[1], u.s[2], u.s[3] = momentum, nesterov, momentum if nesterov else 1
    submit_update(&u, value.shape[0], lr, (value, velocity, grad) if recording != NULL else None)


cdef void rmsprop_rule(const Update* u, const float* grad, Py_ssize_t offset, Py_ssize_t count) noexcept nogil:
    # square = decay · square + (1 - decay) · grad²; value -= lr · grad / (sqrt(square) + eps)
    cdef float* value = u.value + offset
    cdef float* square = u.state[0] + offset
    cdef vec lr = splat(u.s[0]), decay = splat(u.s[1]), rest = splat(u.s[2]), eps = splat(u.s[3]), g, q
    cdef Py_ssize_t i = 0, left
    while i < count:
        left = count - i
        g = load_n(grad + i, left)
        q = decay * load_n(square + i, left) + rest * g * g
        store_n(square + i, q, left)
        store_n(value + i, load_n(value + i, left) - lr * g / (square_root(q) + eps), left)
        i += LANES


def rmsprop_update(
    float[::1] value, float[::1] square, const float[::1] grad, double lr, double decay, double eps
):
    cdef Update u
    memset(&u, 0, sizeof(u))
    expect("rmsprop_update", "square", square.shape[0], value.shape[0])
    expect("rmsprop_update", "grad", grad.shape[0], value.shape[0])
    u.rule, u.prepare, u.value, u.grad = rmsprop_rule, set_lr, &value[0], <float*>&grad[0]
    u.state[0] = &square[0]
    u.s[1], u.s[2], u.s[3] = decay, 1 - decay, eps
    submit_update(&u, value.shape[0], lr, (value, square, grad) if recording != NULL else None)


cdef void adam_rule(const Update* u, const float* grad, Py_ssize_t offset, Py_ssize_t count) noexcept nogil:
    # m = beta1 · m + (1 - beta1) · grad; v = beta2 · v + (1 - beta2) · grad²;
    # value = keep · value - rate · m / (sqrt(v) + eps'), where keep = 1 - lr · weight_decay. Both bias corrections are
    # outside the loop: rate = lr · root / (1 - beta1^step), root = sqrt(1 - beta2^step), eps' = eps · root
    cdef float* value = u.value + offset
    cdef float* m = u.state[0] + offset
    cdef float* v = u.state[1] + offset
    cdef vec keep = splat(u.s[0]), rate = splat(u.s[1]), eps = splat(u.s[2])
    cdef vec beta1 = splat(u.s[3]), rest1 = splat(u.s[4]), beta2 = splat(u.s[5]), rest2 = splat(u.s[6])
    cdef vec g, m1, v1
    cdef Py_ssize_t i = 0, left
    while i < count:
        left = count - i
        g = load_n(grad + i, left)
        m1 = beta1 * load_n(m + i, left) + rest1 * g
        v1 = beta2 * load_n(v + i, left) + rest2 * (g * g)
        store_n(m + i, m1, left)
        store_n(v + i, v1, left)
        store_n(value + i, keep * load_n(value + i, left) - rate * m1 / (square_root(v1) + eps), left)
        i += LANES


cdef void prepare_adam(Update* u, double lr) noexcept nogil:
    cdef double beta1 = u.hyper[0], beta2 = u.hyper[1], step = <double>u.step[0], root = sqrt(1 - pow(beta2, step))
    u.s[0] = <float>(1 - lr * u.hyper[3])
    u.s[1] = <float>(lr * root / (1 - pow(beta1, step)))
    u.s[2] = <float>(u.hyper[2] * root)
    u.s[3], u.s[4], u.s[5], u.s[6] = beta1, 1 - beta1, beta2, 1 - beta2


def adam_update(
    float[::1] value, float[::1] m, float[::1] v, const float[::1] grad, const int64_t[::1] step,
    double lr, double beta1, double beta2, double eps, double weight_decay,
):
    cdef Update u
    memset(&u, 0, sizeof(u))
    expect("adam_update", "step", step.shape[0], 1)
    if step[0] < 1 and recording == NULL:
        raise ValueError(f"adam_update: step must be at least 1, the first update; got {step[0]}")
    expect("adam_update", "m", m.shape[0], value.shape[0])
    expect("adam_update", "v", v.shape[0], value.shape[0])
    expect("adam_update", "grad", grad.shape[0], value.shape[0])
    u.rule, u.prepare, u.value, u.grad = adam_rule, prepare_adam, &value[0], <float*>&grad[0]
    u.state[0], u.state[1] = &m[0], &v[0]
    u.hyper[0], u.hyper[1], u.hyper[2], u.hyper[3], u.step = beta1, beta2, eps, weight_decay, &step[0]
    submit_update(&u, value.shape[0], lr, (value, m, v, grad, step) if recording != NULL else None)


cdef void sum_squares_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # squares[k] = sum of grad (n,) squared, in double; not split
    (<double*>op.a[0])[op.n[1]] = sum_of_squares(op.a[1], op.n[0])


def sum_squares(double[::1] squares, const float[::1] grad, Py_ssize_t k):
    cdef Op op
    if not 0 <= k < squares.shape[0]:
        raise ValueError(f"sum_squares: k must lie in 0 … {squares.shape[0] - 1}; got {k}")
    init_op(&op, sum_squares_loop, UNSPLIT, 1, grad.shape[0], 2, 1, 0b10)
    op.a[0], op.a[1] = <float*>&squares[0], <float*>&grad[0]
    op.n[0], op.n[1] = grad.shape[0], k
    submit(&op, (squares, grad) if recording != NULL else None)


cdef void clip_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # grad (n,) *= max_norm / norm if norm, the root of the sum of squares (m,), is larger; split over elements
    cdef float* grad = op.a[0]
    cdef const double* squares = <const double*>op.a[1]
    cdef double total = 0
    cdef Py_ssize_t i
    cdef vec scale
    for i in range(op.n[1]):
        total += squares[i]
    if not total > <double>op.s[0] * op.s[0]:
        return
    scale = splat(<float>(op.s[0] / sqrt(total)))
    i = begin
    while i < end:
        store_n(grad + i, scale * load_n(grad + i, end - i), end - i)
        i += LANES


def clip(float[::1] grad, const double[::1] squares, float max_norm):
    cdef Op op
    init_op(&op, clip_loop, WEIGHT_ROWS, grad.shape[0], grad.shape[0], 2, 1, 0b10)
    op.a[0], op.a[1] = &grad[0], <float*>&squares[0]
    op.n[0], op.n[1] = grad.shape[0], squares.shape[0]
    op.s[0] = max_norm
    submit(&op, (grad, squares) if recording != NULL else None)


cdef void average_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # average (n,) += rate · (value - average), rate = max(min_rate, 1 / (k + 1)), at the steps start + 1 + k · every;
    # at the first of them average = value; split over elements
    cdef float* average = op.a[0]
    cdef const float* value = op.a[1]
    cdef Py_ssize_t past = op.step[0] - 1 - op.n[1], i = begin
    cdef vec rate, old
    if past < 0 or past % op.n[2]:
        return
    if past == 0:
        memcpy(average + begin, value + begin, (end - begin) * sizeof(float))
        return
    rate = splat(max(op.s[0], <float>(1.0 / (past // op.n[2] + 1))))
    while i < end:
        old = load_n(average + i, end - i)
        store_n(average + i, old + rate * (load_n(value + i, end - i) - old), end - i)
        i += LANES


def average_update(
    float[::1] average, const float[::1] value, const int64_t[::1] step, float min_rate, Py_ssize_t start,
    Py_ssize_t every,
):
    cdef Op op
    expect("average_update", "step", step.shape[0], 1)
    expect("average_update", "average", average.shape[0], value.shape[0])
    if every < 1:
        raise ValueError(f"average_update: every must be at least 1; got {every}")
    init_op(&op, average_loop, WEIGHT_ROWS, value.shape[0], 2 * value.shape[0] // every, 2, 1, 0)
    op.a[0], op.a[1] = &average[0], <float*>&value[0]
    op.n[0], op.n[1], op.n[2] = value.shape[0], start, every
    op.s[0] = min_rate
    op.step = &step[0]
    submit(&op, (average, value, step) if recording != NULL else None)
