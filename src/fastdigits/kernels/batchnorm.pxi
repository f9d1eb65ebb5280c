# Batch normalisation: forward in training and in evaluation, and backward.

# Statistics of a batch take two steps: each thread computes those of its blocks of rows, then every thread combines all
# blocks in order. Blocks, and therefore sums, do not depend on the number of threads. A thread uses the same rows as in
# the layers before and after, which are in its cache.

cdef Py_ssize_t block_bytes(Py_ssize_t n, Py_ssize_t d) noexcept:
    return (n + SAMPLE_BLOCK - 1) // SAMPLE_BLOCK * 2 * d * <Py_ssize_t>sizeof(double)


cdef void batchnorm_blocks_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # stats (blocks, 2, d) float64 = mean of each block of rows of x (n, d), and sum of squared deviations
    cdef double* stats = <double*>op.a[0]
    cdef const float* x = op.a[1]
    cdef Py_ssize_t d = op.n[1], i = begin, rows, r, j
    cdef double* mean
    cdef double* squares
    cdef double centred
    while i < end:
        rows = min(end - i, <Py_ssize_t>SAMPLE_BLOCK)
        mean = stats + i // SAMPLE_BLOCK * 2 * d
        squares = mean + d
        memset(mean, 0, 2 * d * sizeof(double))
        for r in range(i, i + rows):
            for j in range(d):
                mean[j] += x[r * d + j]
        for j in range(d):
            mean[j] /= rows
        for r in range(i, i + rows):
            for j in range(d):
                centred = x[r * d + j] - mean[j]
                squares[j] += centred * centred
        i += SAMPLE_BLOCK


cdef void combine_blocks(
    double* mean, double* squares, const double* stats, Py_ssize_t n, Py_ssize_t d, Py_ssize_t j, Py_ssize_t width
) noexcept nogil:
    # mean and sum of squared deviations (width,) of all n rows, for the columns from j on
    # (Chan, Golub and LeVeque 1983, "Algorithms for Computing the Sample Variance", equation 2.1)
    cdef Py_ssize_t i = 0, rows, k
    cdef const double* block
    cdef double share, delta
    memset(mean, 0, width * sizeof(double))
    memset(squares, 0, width * sizeof(double))
    while i < n:
        rows = min(n - i, <Py_ssize_t>SAMPLE_BLOCK)
        block = stats + i // SAMPLE_BLOCK * 2 * d + j
        share = <double>rows / (i + rows)
        for k in range(width):
            delta = block[k] - mean[k]
            mean[k] += delta * share
            squares[k] += block[d + k] + delta * delta * i * share
        i += SAMPLE_BLOCK


cdef void batchnorm_forward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # x_hat (n, d) = (x - mean) · inv_std, y (n, d) = gamma · x_hat + beta; running_mean and running_var (d,) move by
    # momentum towards the mean and unbiased variance of the batch; split over rows, 64 columns at a time
    cdef float* y = op.a[0]
    cdef float* x_hat = op.a[1]
    cdef float* inv_std = op.a[2]
    cdef float* running_mean = op.a[3]
    cdef float* running_var = op.a[4]
    cdef const float* x = op.a[5]
    cdef const float* gamma = op.a[6]
    cdef const float* beta = op.a[7]
    cdef const double* stats = <const double*>op.a[8]
    cdef Py_ssize_t n = op.n[0], d = op.n[1], j = 0, width, i, k, e
    cdef float eps = op.s[1]
    cdef double step = op.s[0]
    cdef double mean[64]
    cdef double squares[64]
    cdef float shift[64]
    cdef float scale[64]
    while j < d:
        width = min(d - j, <Py_ssize_t>64)
        combine_blocks(mean, squares, stats, n, d, j, width)
        for k in range(width):
            shift[k] = <float>mean[k]
            scale[k] = <float>(1 / sqrt(squares[k] / n + eps))
        if begin == 0:
            for k in range(width):
                inv_std[j + k] = scale[k]
                running_mean[j + k] = <float>(running_mean[j + k] + step * (mean[k] - running_mean[j + k]))
                running_var[j + k] = <float>(running_var[j + k] + step * (squares[k] / (n - 1) - running_var[j + k]))
        for i in range(begin, end):
            for k in range(width):
                e = i * d + j + k
                x_hat[e] = (x[e] - shift[k]) * scale[k]
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
    stats = bytearray(block_bytes(n, d))
    init_op(&op, batchnorm_blocks_loop, SAMPLES, n, 4 * n * d, 2, 1, 0)
    op.a[0], op.a[1] = <float*>PyByteArray_AS_STRING(stats), <float*>&x[0, 0]
    op.n[0], op.n[1] = n, d
    submit(&op, (stats, x) if recording != NULL else None)
    init_op(&op, batchnorm_forward_loop, SAMPLES, n, 4 * n * d, 9, 5, 0b111011100)
    op.a[8] = <float*>PyByteArray_AS_STRING(stats)
    op.a[0], op.a[1], op.a[2], op.a[3] = &y[0, 0], &x_hat[0, 0], &inv_std[0], &running_mean[0]
    op.a[4], op.a[5], op.a[6], op.a[7] = &running_var[0], <float*>&x[0, 0], <float*>&gamma[0], <float*>&beta[0]
    op.n[0], op.n[1] = n, d
    op.s[0], op.s[1] = momentum, eps
    submit(&op, (y, x_hat, inv_std, running_mean, running_var, x, gamma, beta) if recording != NULL else None)


cdef void batchnorm_inference_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # y (n, d) = gamma · (x - running_mean) / sqrt(running_var + eps) + beta; split over rows, 64 columns at a time
    cdef float* y = op.a[0]
    cdef const float* x = op.a[1]
    cdef const float* gamma = op.a[2]
    cdef const float* beta = op.a[3]
    cdef const float* running_mean = op.a[4]
    cdef const float* running_var = op.a[5]
    cdef Py_ssize_t d = op.n[1], j = 0, width, i, k
    cdef double eps = op.s[0]
    cdef float scale[64]
    cdef float shift[64]
    while j < d:
        width = min(d - j, <Py_ssize_t>64)
        for k in range(width):
            scale[k] = <float>(gamma[j + k] / sqrt(running_var[j + k] + eps))
            shift[k] = beta[j + k] - running_mean[j + k] * scale[k]
        for i in range(begin, end):
            for k in range(width):
                y[i * d + j + k] = x[i * d + j + k] * scale[k] + shift[k]
        j += width


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
    init_op(&op, batchnorm_inference_loop, SAMPLES, n, n * d, 6, 1, 0b111100)
    op.a[0], op.a[1], op.a[2], op.a[3] = &y[0, 0], <float*>&x[0, 0], <float*>&gamma[0], <float*>&beta[0]
    op.a[4], op.a[5] = <float*>&running_mean[0], <float*>&running_var[0]
    op.n[0], op.n[1] = n, d
    op.s[0] = eps
    submit(&op, (y, x, gamma, beta, running_mean, running_var) if recording != NULL else None)


cdef void batchnorm_products_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # stats (blocks, 2, d) float64 = sums of dy (n, d) and of dy · x_hat over the rows of each block
    cdef double* stats = <double*>op.a[0]
    cdef const float* dy = op.a[1]
    cdef const float* x_hat = op.a[2]
    cdef Py_ssize_t d = op.n[1], i = begin, r, j
    cdef double* sums
    while i < end:
        sums = stats + i // SAMPLE_BLOCK * 2 * d
        memset(sums, 0, 2 * d * sizeof(double))
        for r in range(i, min(end, i + SAMPLE_BLOCK)):
            for j in range(d):
                sums[j] += dy[r * d + j]
                sums[d + j] += dy[r * d + j] * x_hat[r * d + j]
        i += SAMPLE_BLOCK


cdef void batchnorm_backward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dgamma (d,) = sum of dy · x_hat, dbeta (d,) = sum of dy, over the rows;
    # dx (n, d) = gamma · inv_std · (dy - dbeta / n - x_hat · dgamma / n); split over rows, 64 columns at a time
    cdef float* dx = op.a[0]
    cdef float* dgamma = op.a[1]
    cdef float* dbeta = op.a[2]
    cdef const float* dy = op.a[3]
    cdef const float* x_hat = op.a[4]
    cdef const float* gamma = op.a[5]
    cdef const float* inv_std = op.a[6]
    cdef const double* stats = <const double*>op.a[7]
    cdef Py_ssize_t n = op.n[0], d = op.n[1], j = 0, width, i, k, e
    cdef double sums[64]
    cdef double products[64]
    cdef float scale[64]
    cdef float mean_dy[64]
    cdef float mean_product[64]
    while j < d:
        width = min(d - j, <Py_ssize_t>64)
        memset(sums, 0, sizeof(sums))
        memset(products, 0, sizeof(products))
        for i in range((n + SAMPLE_BLOCK - 1) // SAMPLE_BLOCK):
            for k in range(width):
                sums[k] += stats[i * 2 * d + j + k]
                products[k] += stats[i * 2 * d + d + j + k]
        for k in range(width):
            scale[k] = gamma[j + k] * inv_std[j + k]
            mean_dy[k] = <float>(sums[k] / n)
            mean_product[k] = <float>(products[k] / n)
        if begin == 0:
            for k in range(width):
                dbeta[j + k] = <float>sums[k]
                dgamma[j + k] = <float>products[k]
        for i in range(begin, end):
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
    if n == 0:  # without rows no loop runs
        dgamma[:] = 0
        dbeta[:] = 0
        return
    stats = bytearray(block_bytes(n, d))
    init_op(&op, batchnorm_products_loop, SAMPLES, n, 4 * n * d, 3, 1, 0)
    op.a[0], op.a[1], op.a[2] = <float*>PyByteArray_AS_STRING(stats), <float*>&dy[0, 0], <float*>&x_hat[0, 0]
    op.n[0], op.n[1] = n, d
    submit(&op, (stats, dy, x_hat) if recording != NULL else None)
    init_op(&op, batchnorm_backward_loop, SAMPLES, n, 4 * n * d, 8, 3, 0b11100110)
    op.a[7] = <float*>PyByteArray_AS_STRING(stats)
    op.a[0], op.a[1], op.a[2], op.a[3] = &dx[0, 0], &dgamma[0], &dbeta[0], <float*>&dy[0, 0]
    op.a[4], op.a[5], op.a[6] = <float*>&x_hat[0, 0], <float*>&gamma[0], <float*>&inv_std[0]
    op.n[0], op.n[1] = n, d
    submit(&op, (dx, dgamma, dbeta, dy, x_hat, gamma, inv_std) if recording != NULL else None)
