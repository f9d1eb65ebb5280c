# Softmax and cross-entropy as one kernel, and the sums over an epoch.

cdef int expect_labels(str door, const int64_t[::1] labels, Py_ssize_t classes) except -1:
    cdef Py_ssize_t i
    if recording != NULL:  # a program gathers labels from an array checked before
        return 0
    for i in range(labels.shape[0]):
        if labels[i] < 0 or labels[i] >= classes:
            raise ValueError(f"{door}: labels must lie in 0 … {classes - 1}; got {labels[i]} at row {i}")
    return 0


cdef void softmax_cross_entropy_forward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # probs (n, c) = softmax of each row of logits (n, c);
    # losses (n,) = -weights · sum over the row of target · log probs; split over rows.
    # log probs = logits - largest - log(total); the logarithm of a rounded probability has a larger error
    cdef float* losses = op.a[0]
    cdef float* probs = op.a[1]
    cdef const float* logits = op.a[2]
    cdef const int64_t* labels = <const int64_t*>op.a[3]
    cdef const float* weights = op.a[4]
    cdef Py_ssize_t c = op.n[1], i, j, first = begin, rows
    cdef double smoothing = op.s[0], log_total, mean, loss
    cdef double totals[SAMPLE_BLOCK]
    cdef float largest[SAMPLE_BLOCK]
    cdef const float* row
    while first < end:
        rows = min(end - first, <Py_ssize_t>SAMPLE_BLOCK)
        softmax_block(probs + first * c, totals, largest, logits + first * c, rows, c)
        for i in range(rows):
            row = logits + (first + i) * c
            log_total = log(totals[i])
            loss = (1 - smoothing) * (log_total - (row[labels[first + i]] - largest[i]))
            if smoothing > 0:
                mean = 0
                for j in range(c):
                    mean += row[j] - largest[i]
                loss += smoothing * (log_total - mean / c)
            losses[first + i] = <float>(weights[first + i] * loss)
        first += SAMPLE_BLOCK


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
    init_op(&op, softmax_cross_entropy_forward_loop, SAMPLES, n, 8 * n * c, 5, 2, 0)
    op.has_losses = True
    op.a[0], op.a[1], op.a[2], op.a[3] = &losses[0], &probs[0, 0], <float*>&logits[0, 0], <float*>&labels[0]
    op.a[4] = <float*>&weights[0]
    op.n[0], op.n[1] = n, c
    op.s[0] = smoothing
    submit(&op, (losses, probs, logits, labels, weights) if recording != NULL else None)


cdef void softmax_cross_entropy_backward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dlogits (n, c) = weights · (probs - target), target = (1 - smoothing) · one-hot + smoothing / c; split over rows
    cdef float* dlogits = op.a[0]
    cdef const float* probs = op.a[1]
    cdef const int64_t* labels = <const int64_t*>op.a[2]
    cdef const float* weights = op.a[3]
    cdef Py_ssize_t c = op.n[1], i, j
    cdef float smoothing = op.s[0], share = smoothing / c
    for i in range(begin, end):
        for j in range(c):
            dlogits[i * c + j] = weights[i] * (probs[i * c + j] - share)
        j = i * c + labels[i]
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
    init_op(&op, softmax_cross_entropy_backward_loop, SAMPLES, n, n * c, 4, 1, 0)
    op.a[0], op.a[1], op.a[2], op.a[3] = &dlogits[0, 0], <float*>&probs[0, 0], <float*>&labels[0], <float*>&weights[0]
    op.n[0], op.n[1] = n, c
    op.s[0] = smoothing
    submit(&op, (dlogits, probs, labels, weights) if recording != NULL else None)


cdef void accumulate_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # totals (3,) += mass · (sum of losses, weighted share of samples whose largest probability is that of the label,
    # 1); not split
    cdef double* totals = <double*>op.a[0]
    cdef const float* losses = op.a[1]
    cdef const float* probs = op.a[2]
    cdef const int64_t* labels = <const int64_t*>op.a[3]
    cdef const float* weights = op.a[4]
    cdef double mass = (<const double*>op.a[5])[0], loss = 0, hits = 0, total = 0
    cdef Py_ssize_t n = op.n[0], c = op.n[1], i, j, best
    for i in range(n):
        best = i * c
        for j in range(i * c + 1, i * c + c):
            best = j if probs[j] > probs[best] else best
        loss += losses[i]
        hits += weights[i] if best == i * c + labels[i] else 0
        total += weights[i]
    totals[0] += mass * loss
    totals[1] += mass * hits / total if total > 0 else 0
    totals[2] += mass


def accumulate(
    double[::1] totals, const float[::1] losses, const float[:, ::1] probs, const int64_t[::1] labels,
    const float[::1] weights, const double[::1] mass,
):
    cdef Op op
    cdef Py_ssize_t n = probs.shape[0], c = probs.shape[1]
    if c < 1:
        raise ValueError(f"accumulate: probs must have at least 1 column, a class; got {c}")
    expect("accumulate", "totals", totals.shape[0], 3)
    expect("accumulate", "losses", losses.shape[0], n)
    expect("accumulate", "labels", labels.shape[0], n)
    expect("accumulate", "weights", weights.shape[0], n)
    expect("accumulate", "mass", mass.shape[0], 1)
    init_op(&op, accumulate_loop, UNSPLIT, 1, n * c, 6, 1, 0b111111)
    op.a[0], op.a[1], op.a[2] = <float*>&totals[0], <float*>&losses[0], <float*>&probs[0, 0]
    op.a[3], op.a[4], op.a[5] = <float*>&labels[0], <float*>&weights[0], <float*>&mass[0]
    op.n[0], op.n[1] = n, c
    submit(&op, (totals, losses, probs, labels, weights, mass) if recording != NULL else None)
