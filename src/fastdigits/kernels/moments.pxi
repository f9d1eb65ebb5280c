# Moment normalisation: centre, deslant and scale images by their moments.

# Coordinates are integers in units of 1 / 65,536 pixel, held as doubles; slants and variances are rounded to few bits,
# and so are interpolation weights. No sum and no product is rounded for images of bytes: all instruction sets, with
# fused multiply-adds or without, and the NumPy twin give the same bits. A border of zeros surrounds an image: one row
# and column before it, two after it. Loops compute whole vectors or strips, whose ends are overwritten or not used.

cdef enum:
    LINE = MAX_SIDE + 2 * STRIP  # the longest row with its border, in whole pairs of strips
    SLANT_UNITS = 4096  # of columns per row
    VARIANCE_UNITS = 1024  # of a squared pixel

cdef struct Frame:  # what becomes the normalised image; coordinates in units of 1 / 65,536 pixel, from pixel (0, 0)
    double row, column  # its middle, the centre of mass
    double high, wide  # rows and columns of the image per row and column of the normalised one
    double slant  # columns per row


cdef inline Py_ssize_t line_length(Py_ssize_t w) noexcept nogil:
    # the stride of an image with its border
    return (w + 3 + 2 * STRIP - 1) // (2 * STRIP) * (2 * STRIP)


cdef inline double limited(double x, double low, double high) noexcept nogil:
    # x, but at least low and at most high; low for NaN
    return high if x > high else (x if x > low else low)


cdef inline double nearest(double x) noexcept nogil:
    return floor(x + 0.5)


cdef void sum_moments(double* sums, const float* image, Py_ssize_t ld, Py_ssize_t h, Py_ssize_t w) noexcept nogil:
    # sums (6,) = Σ p, Σ r p, Σ r² p, Σ c p, Σ r c p, Σ c² p over the pixels p above 0; rows r and columns c are counted
    # from the middle, so that sums over a column of bytes are exact in float32
    cdef float columns[3][LINE]
    cdef vec p, q, r, rr, p0, p1, p2, q0, q1, q2
    cdef double c, m, mr, mrr
    cdef Py_ssize_t i, j = 0
    while j <= w:
        p0 = p1 = p2 = q0 = q1 = q2 = splat(0)
        for i in range(1, h + 1):
            r = splat(<float>(i - 1 - h // 2))
            rr = r * r
            p, q = positive(load(image + i * ld + j)), positive(load(image + i * ld + j + LANES))
            p0, q0 = p0 + p, q0 + q
            p1, q1 = add_fused(p1, r, p), add_fused(q1, r, q)
            p2, q2 = add_fused(p2, rr, p), add_fused(q2, rr, q)
        store_two(columns[0], NULL, j, p0, q0)
        store_two(columns[1], NULL, j, p1, q1)
        store_two(columns[2], NULL, j, p2, q2)
        j += 2 * LANES
    memset(sums, 0, 6 * sizeof(double))
    for j in range(1, w + 1):
        c, m, mr, mrr = j - 1 - w // 2, columns[0][j], columns[1][j], columns[2][j]
        sums[0] += m
        sums[1] += mr
        sums[2] += mrr
        sums[3] += c * m
        sums[4] += c * mr
        sums[5] += c * c * m


cdef void find_frame(
    Frame* frame, const double* sums, Py_ssize_t h, Py_ssize_t w, double sigma_y, double sigma_x
) noexcept nogil:
    # the frame of an image with these moments, of which the first is above 0
    cdef double m = sums[0], y = sums[1], x = sums[3], most = MAX_SIDE * FIXED_ONE, across, slant = 0
    cdef double v_rr = nearest(VARIANCE_UNITS * (m * sums[2] - y * y) / (m * m))
    cdef double v_rc = nearest(VARIANCE_UNITS * (m * sums[4] - y * x) / (m * m))
    cdef double v_cc = nearest(VARIANCE_UNITS * (m * sums[5] - x * x) / (m * m))
    if v_rr > 0:  # a horizontal line has no slant
        slant = limited(nearest(SLANT_UNITS * v_rc / v_rr), -SLANT_UNITS, SLANT_UNITS) / SLANT_UNITS
    across = v_cc - slant * (2 * v_rc - slant * v_rr)
    frame.row = limited(nearest(FIXED_ONE * y / m), -most, most) + FIXED_ONE * (h // 2)  # limited: for infinite sums
    frame.column = limited(nearest(FIXED_ONE * x / m), -most, most) + FIXED_ONE * (w // 2)
    frame.slant = slant
    # the square root of σ / σ₀, from ½ to 2
    frame.high = nearest(FIXED_ONE * sqrt(sqrt(limited(v_rr / (VARIANCE_UNITS * sigma_y * sigma_y), 1.0 / 16, 16))))
    frame.wide = nearest(FIXED_ONE * sqrt(sqrt(limited(across / (VARIANCE_UNITS * sigma_x * sigma_x), 1.0 / 16, 16))))


cdef void blend_rows(float* line, const float* row, Py_ssize_t ld, float weight) noexcept nogil:
    # line (ld,) = between this row and the next
    cdef float one = 1
    cdef vec above = splat(one - weight), below = splat(weight)
    cdef Py_ssize_t j = 0
    while j < ld:
        store(line + j, add_fused(above * load(row + j), below, load(row + ld + j)))
        j += LANES


cdef void normalize_image(
    float* pixels, float* image, Py_ssize_t ld, Py_ssize_t h, Py_ssize_t w, double sigma_y, double sigma_x
) noexcept nogil:
    # pixels (h, w) = themselves, normalised, if one is above 0. They have room for a vector behind them; image
    # (h + 3, ld) is memory for them with their border, which is zero
    cdef double sums[6]
    cdef float line[LINE]
    cdef float steps[LINE]
    cdef double row, half = FIXED_ONE // 512  # rounds weights to the nearest 1 / 256
    cdef float u, last = (w + 1) * FIXED_ONE
    cdef int32_t v
    cdef Py_ssize_t i, j
    cdef Frame frame
    for i in range(h):
        j = 0
        while j < w:
            store(image + (i + 1) * ld + 1 + j, load_n(pixels + i * w + j, w - j))
            j += LANES
    sum_moments(sums, image, ld, h, w)
    if not sums[0] > 0:
        return
    find_frame(&frame, sums, h, w, sigma_y, sigma_x)
    for j in range(ld):
        steps[j] = j * <float>frame.wide
    for i in range(h):
        row = frame.high * (i - 0.5 * (h - 1))
        v = <int32_t>limited(nearest(frame.row + row) + FIXED_ONE + half, 0, (h + 1) * FIXED_ONE)
        u = <float>(nearest(frame.column + frame.slant * row - frame.wide * (0.5 * (w - 1))) + FIXED_ONE + half)
        blend_rows(line, image + (v >> 16) * ld, ld, <float>(v >> 8 & 255) * <float>(1.0 / 256))
        j = 0
        while j < w:
            store(pixels + i * w + j, between_columns(line, ld, splat(u) + load(steps + j), last))
            j += LANES


cdef void moment_norm_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # y (n, h · w) = the images x, or x[rows], normalised; split over images. Bytes / 255 give the result of the bytes,
    # / 255: whether they come here depends on the other images of their array
    cdef float image[(MAX_SIDE + 3) * LINE]
    cdef float pixels[MAX_SIDE * MAX_SIDE + STRIP]
    cdef uint8_t levels[MAX_SIDE * MAX_SIDE]
    cdef Py_ssize_t h = op.n[0], w = op.n[1], d = h * w, ld = line_length(w), i, j
    cdef const float* x
    cdef float* y
    cdef bint has_bytes
    memset(image, 0, (h + 3) * ld * sizeof(float))
    for i in range(begin, end):
        x, y = op.a[1] + (op.rows[i] if op.rows != NULL else i) * d, op.a[0] + i * d
        has_bytes = pack_numbers(levels, x, d, 255) == 0
        for j in range(d):
            pixels[j] = levels[j] if has_bytes else x[j]
        normalize_image(pixels, image, ld, h, w, op.s[0], op.s[1])
        for j in range(d):
            y[j] = <float><int32_t>(pixels[j] + <float>0.5) / <float>255.0 if has_bytes else pixels[j]


cdef void moment_norm_uint8_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # the same for bytes
    cdef float image[(MAX_SIDE + 3) * LINE]
    cdef float pixels[MAX_SIDE * MAX_SIDE + STRIP]
    cdef Py_ssize_t h = op.n[0], w = op.n[1], d = h * w, ld = line_length(w), i, j
    cdef const uint8_t* x
    cdef uint8_t* y
    memset(image, 0, (h + 3) * ld * sizeof(float))
    for i in range(begin, end):
        if op.rows != NULL and i + 1 < end:  # images are read in random order
            x, j = <const uint8_t*>op.a[1] + op.rows[i + 1] * d, 0
            while j < d:
                prefetch(x + j)
                j += 64
        x = <const uint8_t*>op.a[1] + (op.rows[i] if op.rows != NULL else i) * d
        y = <uint8_t*>op.a[0] + i * d
        for j in range(d):
            pixels[j] = x[j]
        normalize_image(pixels, image, ld, h, w, op.s[0], op.s[1])
        for j in range(d):
            y[j] = <uint8_t><int32_t>(pixels[j] + <float>0.5)


cdef int submit_moment_norm(
    str door, Loop loop, void* y, const void* x, Py_ssize_t n, Py_ssize_t y_rows, Py_ssize_t y_cols, Py_ssize_t x_cols,
    Py_ssize_t height, Py_ssize_t width, float sigma_y, float sigma_x, tuple arrays,
) except -1:
    cdef Op op
    cdef Py_ssize_t d = height * width
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise ValueError(f"{door}: images must be at most ({MAX_SIDE}, {MAX_SIDE}); got ({height}, {width})")
    if not (0 < sigma_y <= MAX_SIDE and 0 < sigma_x <= MAX_SIDE):
        raise ValueError(f"{door}: sigmas must be above 0 and at most {MAX_SIDE}; got {sigma_y:g}, {sigma_x:g}")
    expect2(door, "x", n, x_cols, n, d)
    expect2(door, "y", y_rows, y_cols, n, d)
    init_op(&op, loop, SAMPLES, n, 4 * n * d, 2, 1, 0)
    op.a[0], op.a[1] = <float*>y, <float*>x
    op.n[0], op.n[1] = height, width
    op.s[0], op.s[1] = sigma_y, sigma_x
    op.gathered_input = 1
    op.stealable = True
    submit(&op, arrays)
    return 0


def moment_norm(
    float[:, ::1] y, const float[:, ::1] x, Py_ssize_t height, Py_ssize_t width, float sigma_y, float sigma_x
):
    submit_moment_norm("moment_norm", moment_norm_loop, &y[0, 0], &x[0, 0], x.shape[0], y.shape[0], y.shape[1],
                       x.shape[1], height, width, sigma_y, sigma_x, (y, x) if recording != NULL else None)


def moment_norm_uint8(
    unsigned char[:, ::1] y, const unsigned char[:, ::1] x, Py_ssize_t height, Py_ssize_t width, float sigma_y,
    float sigma_x,
):
    submit_moment_norm("moment_norm_uint8", moment_norm_uint8_loop, &y[0, 0], &x[0, 0], x.shape[0], y.shape[0],
                       y.shape[1], x.shape[1], height, width, sigma_y, sigma_x, (y, x) if recording != NULL else None)
