# Augmentation: rotate, scale, shear, shift and elastically distort images.

# Coordinates are integers in units of 1 / 65,536 pixel, and interpolation weights in units of 1 / 256: all instruction
# sets give the same result. Inner loops run exactly STRIP times, which compilers turn into whole vectors; later code
# overwrites or clears what they write beyond the end of a row.

cdef enum:
    MAX_SIDE = 64  # largest height and width of an image: all buffers fit on the stack
    STRIP = 16
    MAX_STRIDE = MAX_SIDE + STRIP  # longest row with its border, in whole strips
    MAX_PAIRS = 5296  # MAX_SIDE + 2 of these rows, and a strip
    MAX_KNOTS = MAX_SIDE + 8  # most knots of a displacement field in one direction
    FIXED_ONE = 65536  # one pixel as an integer

cdef enum:  # indices in ``distortion``
    ROTATION
    SCALE
    SHEAR
    SHIFT
    ALPHA
    DISTORTIONS

cdef double LIMITS[DISTORTIONS]  # keep every coordinate below 2^31 / 65,536 pixels
LIMITS[ROTATION], LIMITS[SCALE], LIMITS[SHEAR], LIMITS[SHIFT], LIMITS[ALPHA] = 3.1416, 0.5, 1, MAX_SIDE, 10000

cdef struct PaddedImage:  # an image with a border, in pairs of pixels
    Py_ssize_t h, w
    Py_ssize_t ld  # length of a row with a border of one pixel, in whole strips
    Py_ssize_t top, bottom, left, right  # first and last row and column with nonzero pixels
    # Each pair is a pixel and the one below it, one byte each. Pixel (0, 0) is at ld + 1, inside a border of zeros.
    # Four bytes from a pair on are therefore the neighbours of a point between these pixels.
    uint16_t pairs[MAX_PAIRS]


cdef inline uint64_t copy_strip(uint8_t* y, uint8_t* seen, const uint8_t* x, const uint8_t* inside) noexcept nogil:
    # y (STRIP,) = x & inside; seen |= y; return 0 if y is zero. The compiler vectorises these loops over local arrays,
    # as no pointer can alias them
    cdef uint64_t words[2]
    cdef uint64_t all_seen[2]
    cdef uint8_t* nonzero = <uint8_t*>words
    cdef uint8_t* columns = <uint8_t*>all_seen
    cdef int e
    for e in range(STRIP):
        nonzero[e] = x[e] & inside[e]
    for e in range(STRIP):
        columns[e] = seen[e] | nonzero[e]
    memcpy(y, words, STRIP)
    memcpy(seen, all_seen, STRIP)
    return words[0] | words[1]


cdef inline void pair_strip(uint16_t* pairs, const uint8_t* row, const uint8_t* below) noexcept nogil:
    cdef uint16_t pair[STRIP]
    cdef int e
    for e in range(STRIP):
        pair[e] = row[e] | below[e] << 8
    memcpy(pairs, pair, sizeof(pair))


cdef bint pad_image(PaddedImage* p, const uint8_t* x) noexcept nogil:
    # p = x (h, w) with a border, in pairs, and its bounding box; return False if all pixels are zero
    cdef uint8_t pixels[MAX_SIDE * MAX_SIDE + STRIP]
    cdef uint8_t image[MAX_PAIRS + MAX_STRIDE]
    cdef uint8_t inside[MAX_STRIDE]
    cdef uint8_t columns[MAX_STRIDE]
    cdef uint64_t nonzero
    cdef Py_ssize_t i, j, ld = p.ld
    memcpy(pixels, x, p.h * p.w)
    memset(inside, 0, sizeof(inside))
    memset(inside, 255, p.w)
    memset(columns, 0, sizeof(columns))
    memset(image, 0, (p.h + 3) * ld)
    p.top, p.bottom = p.h, -1
    for i in range(p.h):
        nonzero = j = 0
        while j < p.w:
            nonzero |= copy_strip(image + (i + 1) * ld + 1 + j, columns + j, pixels + i * p.w + j, inside + j)
            j += STRIP
        if nonzero:
            p.top, p.bottom = min(p.top, i), i
    if p.bottom < 0:
        return False
    p.left, p.right = 0, p.w - 1
    while not columns[p.left]:
        p.left += 1
    while not columns[p.right]:
        p.right -= 1
    i = 0
    while i < (p.h + 2) * ld:
        pair_strip(p.pairs + i, image + i, image + i + ld)
        i += STRIP
    p.pairs[i] = 0  # the right neighbour of the border's last pixel
    return True


cdef void random_field(
    float* field, const float* taps, Py_ssize_t knots, Py_ssize_t w, uint64_t key
) noexcept nogil:
    # field (knots, w) = random knots (knots, knots), uniform in -1 … 1, @ taps (knots, w); stride MAX_SIDE
    cdef Py_ssize_t k, knot, j, i = 0
    cdef uint64_t bits = 0
    cdef float noise[MAX_KNOTS]
    cdef vec total
    for k in range(knots):
        for knot in range(knots):
            if i % 4 == 0:  # 16 bits per knot
                bits = split_mix_at(key, i // 4)
            noise[knot] = <float>(<int32_t>(bits & 0xFFFF) - 32768) * <float>(1.0 / 32768)
            bits >>= 16
            i += 1
        j = 0
        while j < w:
            total = splat(0)
            for knot in range(knots):
                total = total + splat(noise[knot]) * load(taps + knot * MAX_SIDE + j)
            store(field + k * MAX_SIDE + j, total)
            j += LANES


cdef void displacement_row(
    int32_t* shift, const float* field, const float* taps, Py_ssize_t knots, Py_ssize_t i, Py_ssize_t w, float alpha
) noexcept nogil:
    # shift (w,) = alpha · column i of taps (knots, h) @ field (knots, w), in units of 1 / 65,536 pixel
    cdef float pixels[MAX_SIDE]
    cdef float limit = 4096
    cdef vec total
    cdef Py_ssize_t first = 0, last = knots, k, j
    cdef int e
    while first < last and taps[first * MAX_SIDE + i] == 0:  # outside the Gaussian
        first += 1
    while first < last and taps[(last - 1) * MAX_SIDE + i] == 0:
        last -= 1
    memset(pixels + w, 0, (MAX_SIDE - w) * sizeof(float))  # whole strips are read
    j = 0
    while j < w:
        total = splat(0)
        for k in range(first, last):
            total = total + splat(alpha * taps[k * MAX_SIDE + i]) * load(field + k * MAX_SIDE + j)
        store(pixels + j, total)
        j += LANES
    j = 0
    while j < w:
        for e in range(STRIP):
            pixels[j + e] = pixels[j + e] if pixels[j + e] > -limit else -limit
            pixels[j + e] = pixels[j + e] if pixels[j + e] < limit else limit
            shift[j + e] = <int32_t>(pixels[j + e] * FIXED_ONE)
        j += STRIP


cdef inline void interpolate_strip(
    uint8_t* y, const uint32_t* quads, const int32_t* right, const int32_t* down
) noexcept nogil:
    # y (STRIP,) = bilinear interpolation of four pixels each; right and down: distance from the first, in 1 / 256 pixel
    cdef int32_t mixed[STRIP]
    cdef uint8_t narrow[STRIP]
    cdef int32_t first, second, upper, lower
    cdef int e
    for e in range(STRIP):
        first, second = quads[e] & 255, quads[e] >> 8 & 255
        upper = (first << 8) + right[e] * (<int32_t>(quads[e] >> 16 & 255) - first)
        lower = (second << 8) + right[e] * (<int32_t>(quads[e] >> 24) - second)
        mixed[e] = ((upper << 8) + down[e] * (lower - upper) + 32768) >> 16
    for e in range(STRIP):  # a loop of its own: bytes would limit the loop above to vectors of 16 bytes
        narrow[e] = <uint8_t>mixed[e]
    memcpy(y, narrow, STRIP)


cdef void sample_row(
    uint8_t* y, const PaddedImage* p, int32_t u, int32_t v, int32_t du, int32_t dv, const int32_t* shift_u,
    const int32_t* shift_v, Py_ssize_t count,
) noexcept nogil:
    # y (count,) = pixels at (u + j · du + shift_u[j], v + j · dv + shift_v[j]), a column and row of the padded image;
    # writes whole strips
    cdef int32_t right[MAX_STRIDE]
    cdef int32_t down[MAX_STRIDE]
    cdef uint32_t index[MAX_STRIDE]
    cdef uint32_t quads[MAX_STRIDE]
    cdef int32_t max_u = <int32_t>(p.w + 1) * FIXED_ONE, max_v = <int32_t>(p.h + 1) * FIXED_ONE
    cdef int32_t ld = <int32_t>p.ld, a, b
    cdef Py_ssize_t j = 0
    cdef int e
    while j < count:
        for e in range(STRIP):
            a = u + e * du + shift_u[j + e]
            b = v + e * dv + shift_v[j + e]
            a = a if a > 0 else 0
            b = b if b > 0 else 0
            a = a if a < max_u else max_u
            b = b if b < max_v else max_v
            index[j + e] = (b >> 16) * ld + (a >> 16)
            right[j + e] = a >> 8 & 255
            down[j + e] = b >> 8 & 255
        u += STRIP * du
        v += STRIP * dv
        j += STRIP
    for j in range(count):
        memcpy(&quads[j], p.pairs + index[j], sizeof(uint32_t))
    j = 0
    while j < count:
        interpolate_strip(y + j, quads + j, right + j, down + j)
        j += STRIP


cdef void distort(
    uint8_t* y, const PaddedImage* p, const double* limits, const float* taps, Py_ssize_t knots, uint64_t key
) noexcept nogil:
    # y (h, w): source = M (target - centre - shift) + centre + field(target), M the inverse of rotation · shear · scale
    cdef uint8_t pixels[MAX_SIDE * MAX_SIDE + STRIP]
    cdef float fields[2][MAX_KNOTS * MAX_SIDE]
    cdef int32_t shifts[2][MAX_STRIDE]
    cdef Py_ssize_t top = 0, bottom = p.h, left = 0, count = p.w, i, k  # of rows; of columns
    cdef double cx = 0.5 * (p.w - 1), cy = 0.5 * (p.h - 1), angle = limits[ROTATION] * uniform(key, 0)
    cdef double sx = 1 + limits[SCALE] * uniform(key, 1), sy = 1 + limits[SCALE] * uniform(key, 2)
    cdef double shear = limits[SHEAR] * uniform(key, 3)
    cdef double tx = cx + limits[SHIFT] * uniform(key, 4), ty = cy + limits[SHIFT] * uniform(key, 5)
    cdef double c = cos(angle), s = sin(angle), low = p.h, high = -1, first = p.w, last = -1, row, column, across, along
    cdef double m00 = (c + s * shear) / sx, m01 = (s - c * shear) / sx, m10 = -s / sy, m11 = c / sy
    cdef int32_t u, v, du = <int32_t>floor(m00 * FIXED_ONE + 0.5), dv = <int32_t>floor(m10 * FIXED_ONE + 0.5)
    memset(shifts, 0, sizeof(shifts))
    if knots > 0:
        for k in range(2):
            random_field(fields[k], taps, knots, p.w, split_mix_at(key, 6 + k))
    else:  # the result is zero outside the distorted corners of the bounding box
        for k in range(4):
            column = sx * ((p.right + 1 if k & 1 else p.left - 1) - cx)
            row = sy * ((p.bottom + 1 if k & 2 else p.top - 1) - cy)
            across, along = tx + c * column + (c * shear - s) * row, ty + s * column + (s * shear + c) * row
            first, last, low, high = min(first, across), max(last, across), min(low, along), max(high, along)
        top, bottom = max(<Py_ssize_t>0, <Py_ssize_t>floor(low)), min(p.h, <Py_ssize_t>floor(high) + 2)
        left = max(<Py_ssize_t>0, <Py_ssize_t>floor(first))
        count = max(<Py_ssize_t>0, min(p.w, <Py_ssize_t>floor(last) + 2) - left)
    count = (count + STRIP - 1) // STRIP * STRIP
    left = max(<Py_ssize_t>0, min(left, p.w - count))  # strips end in this row, or in the next, computed later
    memset(pixels, 0, p.h * p.w)
    for i in range(top, bottom):
        if knots > 0:
            for k in range(2):
                displacement_row(shifts[k], fields[k], taps, knots, i, p.w, <float>limits[ALPHA])
        u = <int32_t>floor((m01 * (i - ty) - m00 * tx + cx) * FIXED_ONE + 0.5) + FIXED_ONE + <int32_t>left * du
        v = <int32_t>floor((m11 * (i - ty) - m10 * tx + cy) * FIXED_ONE + 0.5) + FIXED_ONE + <int32_t>left * dv
        sample_row(pixels + i * p.w + left, p, u, v, du, dv, shifts[0], shifts[1], count)
    if bottom > top:
        memset(pixels + bottom * p.w, 0, STRIP)
    memcpy(y, pixels, p.h * p.w)


cdef void augment_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # image i of y (n, h · w) = image rows[i] of x, distorted by the random numbers of keys[rows[i]], or of rows[i] if
    # there are no keys; split over the images of y
    cdef uint8_t* y = <uint8_t*>op.a[0]
    cdef const uint8_t* x = <const uint8_t*>op.a[1]
    cdef const int64_t* rows = <const int64_t*>op.a[2]
    cdef const int64_t* keys = <const int64_t*>op.a[3]
    cdef const double* limits = <const double*>op.a[5]
    cdef uint64_t epoch = split_mix_at(op.seed, (<const int64_t*>op.a[4])[0])
    cdef bint keyed = op.s[0] != 0
    cdef Py_ssize_t knots = op.n[2] if limits[ALPHA] > 0 else 0, longest = max(op.n[0], op.n[1]), d = op.n[0] * op.n[1]
    cdef Py_ssize_t i, k
    cdef float taps[MAX_KNOTS * MAX_SIDE]  # stride MAX_SIDE, for whole vectors
    cdef PaddedImage image
    image.h, image.w, image.ld = op.n[0], op.n[1], (op.n[1] + 2 + STRIP - 1) // STRIP * STRIP
    if knots > 0:
        memset(taps, 0, sizeof(taps))
    for k in range(knots):
        memcpy(taps + k * MAX_SIDE, op.a[6] + k * longest, longest * sizeof(float))
    for i in range(begin, end):
        if i + 1 < end:  # images are read in random order
            k = 0
            while k < d:
                prefetch(x + rows[i + 1] * d + k)
                k += 64
        if pad_image(&image, x + rows[i] * d):
            k = keys[rows[i]] if keyed else rows[i]
            distort(y + i * d, &image, limits, taps, knots, split_mix_at(epoch, k))
        else:
            memset(y + i * d, 0, d)


def augment(
    unsigned char[:, ::1] y, const unsigned char[:, ::1] x, const int64_t[::1] rows, const int64_t[::1] keys,
    const int64_t[::1] epoch, const double[::1] distortion, const float[:, ::1] taps, Py_ssize_t height,
    Py_ssize_t width, uint64_t seed,
):
    cdef Op op
    cdef Py_ssize_t n = rows.shape[0], d = height * width, k
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise ValueError(f"augment: images must be at most ({MAX_SIDE}, {MAX_SIDE}); got ({height}, {width})")
    expect2("augment", "x", x.shape[0], x.shape[1], x.shape[0], d)
    expect2("augment", "y", y.shape[0], y.shape[1], n, d)
    if keys.shape[0] > 0:
        expect("augment", "keys", keys.shape[0], x.shape[0])
    expect("augment", "epoch", epoch.shape[0], 1)
    expect("augment", "distortion", distortion.shape[0], DISTORTIONS)
    expect2("augment", "taps", taps.shape[0], taps.shape[1], taps.shape[0], max(height, width))
    if taps.shape[0] > MAX_KNOTS:
        raise ValueError(f"augment: taps must have at most {MAX_KNOTS} rows; got {taps.shape[0]}")
    for k in range(DISTORTIONS):
        if not 0 <= distortion[k] <= LIMITS[k]:
            raise ValueError(f"augment: distortion[{k}] must lie in 0 … {LIMITS[k]:g}; got {distortion[k]}")
    expect_rows("augment", rows, x.shape[0])
    init_op(&op, augment_loop, SAMPLES, n, (60 if taps.shape[0] > 0 else 8) * n * d, 7, 1, 0b1111110)
    op.a[0], op.a[1], op.a[2] = <float*>&y[0, 0], <float*>&x[0, 0], <float*>&rows[0]
    op.a[3], op.a[4] = <float*>&keys[0], <float*>&epoch[0]
    op.a[5], op.a[6] = <float*>&distortion[0], <float*>&taps[0, 0]
    op.n[0], op.n[1], op.n[2] = height, width, taps.shape[0]
    op.s[0] = keys.shape[0] > 0
    op.seed = seed
    submit(&op, (y, x, rows, keys, epoch, distortion, taps) if recording != NULL else None)
