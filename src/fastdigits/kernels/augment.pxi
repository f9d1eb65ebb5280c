# Augmentation: rotate, scale, shear, shift and elastically distort images, change the thickness of strokes, and blank a
# square.

# Coordinates are integers in units of 1 / 65,536 pixel, and interpolation weights in units of 1 / 256: all instruction
# sets give the same result. Inner loops run exactly STRIP times, which compilers turn into whole vectors; later code
# overwrites or clears what they write beyond the end of a row.

cdef enum:
    MAX_SIDE = 64  # largest height and width of an image: all buffers fit on the stack
    STRIP = 16
    MAX_STRIDE = MAX_SIDE + STRIP  # longest row with its border, in whole strips
    MAX_PAIRS = 5296  # MAX_SIDE + 2 of these rows, and a strip
    MAX_KNOTS = MAX_SIDE + 8  # most knots of a displacement field in one direction
    MAX_DISPLACEMENT = 4096  # by the field, in pixels; store_fixed bounds them
    # Pixels computed together: vectors are not read right after single numbers were written in them. That wait took
    # half of an affine distortion.
    MAX_SAMPLES = 1024
    FIXED_ONE = 65536  # one pixel as an integer

cdef enum:  # indices in ``distortion``
    ROTATION
    SCALE
    SHEAR
    SHIFT
    ALPHA
    THICKNESS
    CUTOUT
    DISTORTIONS

cdef double LIMITS[DISTORTIONS]  # keep every coordinate below 2^31 / 65,536 pixels
LIMITS[ROTATION], LIMITS[SCALE], LIMITS[SHEAR], LIMITS[SHIFT], LIMITS[ALPHA] = 3.1416, 0.5, 1, MAX_SIDE, 10000
LIMITS[THICKNESS], LIMITS[CUTOUT] = 3, MAX_SIDE

cdef struct PaddedImage:  # an image with a border, in pairs of pixels
    Py_ssize_t h, w
    Py_ssize_t ld  # length of a row with a border of one pixel, in whole strips
    Py_ssize_t top, bottom, left, right  # first and last row and column with nonzero pixels
    # Each pair is a pixel and the one below it, one byte each. Pixel (0, 0) is at ld + 1, inside a border of zeros.
    # Four bytes from a pair on are therefore the neighbours of a point between these pixels.
    uint16_t pairs[MAX_PAIRS]


cdef inline void copy_strip(uint8_t* y, const uint8_t* x, const uint8_t* inside) noexcept nogil:
    # y (STRIP,) = x & inside. The compiler vectorises this loop over a local array, as no pointer can alias it
    cdef uint8_t bytes[STRIP]
    cdef int e
    for e in range(STRIP):
        bytes[e] = x[e] & inside[e]
    memcpy(y, bytes, STRIP)


cdef inline void pair_strip(uint16_t* pairs, const uint8_t* row, const uint8_t* below) noexcept nogil:
    cdef uint16_t pair[STRIP]
    cdef int e
    for e in range(STRIP):
        pair[e] = row[e] | below[e] << 8
    memcpy(pairs, pair, sizeof(pair))


cdef void spread(
    uint8_t* y, const uint8_t* x, const PaddedImage* p, const uint8_t* inside, bint square, uint8_t flip
) noexcept nogil:
    # y (h, w) = the largest of each pixel of x and its four neighbours, or eight if square; with flip = 255 the
    # smallest. Rows have a border of zeros and a stride of p.ld
    cdef uint8_t best[STRIP]
    cdef const uint8_t* row
    cdef const uint8_t* above
    cdef const uint8_t* below
    cdef uint8_t a, b
    cdef Py_ssize_t i, j
    cdef int e
    for i in range(1, p.h + 1):
        j = 0
        while j < p.w:
            row = x + i * p.ld + 1 + j
            above, below = row - p.ld, row + p.ld
            for e in range(STRIP):
                a, b = max(row[e - 1] ^ flip, row[e + 1] ^ flip), max(above[e] ^ flip, below[e] ^ flip)
                best[e] = max(max(a, b), row[e] ^ flip)
            if square:
                for e in range(STRIP):
                    a = max(above[e - 1] ^ flip, above[e + 1] ^ flip)
                    b = max(below[e - 1] ^ flip, below[e + 1] ^ flip)
                    best[e] = max(best[e], max(a, b))
            for e in range(STRIP):
                best[e] = (best[e] ^ flip) & inside[j + e]
            memcpy(y + i * p.ld + 1 + j, best, STRIP)
            j += STRIP


cdef void change_thickness(uint8_t* image, const PaddedImage* p, const uint8_t* inside, int amount) noexcept nogil:
    # image (h, w) in place: strokes amount / 256 pixel thicker on each side, or thinner. Each step is a dilation or an
    # erosion by a cross, then by a square, and so on; the last one counts in part. What an erosion removes wholly, so
    # that a dilation does not bring it back, keeps half of its grey
    cdef uint8_t changed[MAX_PAIRS + MAX_STRIDE]
    cdef uint8_t opened[MAX_PAIRS + MAX_STRIDE]
    cdef uint8_t mixed[STRIP]
    cdef uint8_t rest
    cdef Py_ssize_t i, size = (p.h + 2) * p.ld
    cdef int k, e, steps = abs(amount) >> 8, weight
    memset(changed, 0, size + p.ld)
    memset(opened, 0, size + p.ld)
    for k in range(steps + 1):
        weight = 256 if k < steps else abs(amount) & 255
        spread(changed, image, p, inside, k & 1, 0 if amount > 0 else 255)
        if amount < 0:
            spread(opened, changed, p, inside, k & 1, 0)
        i = 0
        while i < size:
            for e in range(STRIP):
                rest = (image[i + e] - opened[i + e]) >> 1 if amount < 0 else 0
                mixed[e] = (image[i + e] * (256 - weight) + max(changed[i + e], rest) * weight + 128) >> 8
            memcpy(image + i, mixed, STRIP)
            i += STRIP


cdef bint pad_image(PaddedImage* p, const uint8_t* x, int thicker) noexcept nogil:
    # p = x (h, w) with a border, in pairs, and its bounding box; return False if all pixels are zero. Strokes are
    # thicker / 256 pixel thicker on each side
    cdef uint8_t pixels[MAX_SIDE * MAX_SIDE + STRIP]
    cdef uint8_t image[MAX_PAIRS + MAX_STRIDE]
    cdef uint8_t inside[MAX_STRIDE]
    cdef uint64_t nonzero, columns = 0, all_columns = (<uint64_t>2 << (p.w - 1)) - 1
    cdef Py_ssize_t i, j, ld = p.ld
    memcpy(pixels, x, p.h * p.w)
    memset(inside, 0, sizeof(inside))
    memset(inside, 255, p.w)
    memset(image, 0, (p.h + 3) * ld)
    for i in range(p.h):
        j = 0
        while j < p.w:
            copy_strip(image + (i + 1) * ld + 1 + j, pixels + i * p.w + j, inside + j)
            j += STRIP
    if thicker != 0:
        change_thickness(image, p, inside, thicker)
    p.top, p.bottom = p.h, -1
    for i in range(p.h):
        nonzero = nonzero_bytes(image + (i + 1) * ld + 1) & all_columns
        if nonzero:
            p.top, p.bottom = min(p.top, i), i
        columns |= nonzero
    if columns == 0:
        return False
    p.left, p.right = lowest_bit(columns), p.w - 1
    while not columns >> p.right & 1:
        p.right -= 1
    i = 0
    while i < (p.h + 2) * ld:
        pair_strip(p.pairs + i, image + i, image + i + ld)
        i += STRIP
    p.pairs[i] = 0  # the right neighbour of the border's last pixel
    return True


cdef struct Gaussian:  # taps of an elastic field, and where they are not zero
    Py_ssize_t knots
    double reach  # no displacement is longer, in pixels
    Py_ssize_t first[MAX_SIDE]  # first and last + 1 knot of each row of the image
    Py_ssize_t last[MAX_SIDE]
    Py_ssize_t strip_first[MAX_SIDE]  # the same for each vector of columns
    Py_ssize_t strip_last[MAX_SIDE]
    float taps[MAX_KNOTS * MAX_SIDE]  # (knots, longest side), stride MAX_SIDE
    float scaled[MAX_KNOTS * MAX_SIDE]  # alpha · taps


cdef void nonzero_knots(
    Py_ssize_t* first, Py_ssize_t* last, const Gaussian* g, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil:
    # first and last + 1 knot with nonzero taps in the columns begin … end - 1
    cdef Py_ssize_t k, i
    first[0] = last[0] = 0
    for k in range(g.knots):
        for i in range(begin, end):
            if g.taps[k * MAX_SIDE + i] != 0:
                if last[0] == 0:
                    first[0] = k
                last[0] = k + 1


cdef void init_gaussian(
    Gaussian* g, const float* taps, Py_ssize_t knots, Py_ssize_t h, Py_ssize_t w, float alpha
) noexcept nogil:
    cdef Py_ssize_t longest = max(h, w), k, i
    cdef double total, most = 0
    g.knots = knots
    memset(g.taps, 0, knots * MAX_SIDE * sizeof(float))
    for k in range(knots):
        memcpy(g.taps + k * MAX_SIDE, taps + k * longest, longest * sizeof(float))
    for i in range(knots * MAX_SIDE):
        g.scaled[i] = alpha * g.taps[i]
    for i in range(longest):
        total = 0
        for k in range(knots):
            total += fabs(g.taps[k * MAX_SIDE + i])
        most = max(most, total)
    g.reach = min(alpha * most * most, <double>MAX_DISPLACEMENT)
    for i in range(h):
        nonzero_knots(&g.first[i], &g.last[i], g, i, i + 1)
    i = 0
    while i < w:
        nonzero_knots(&g.strip_first[i], &g.strip_last[i], g, i, i + LANES)
        i += LANES


cdef inline void random_strip(float* noise, const uint64_t* bits) noexcept nogil:
    # noise (STRIP,) = 16 bits each, as numbers in -1 … 1
    cdef uint16_t words[STRIP]
    cdef float numbers[STRIP]
    cdef int e
    memcpy(words, bits, sizeof(words))
    for e in range(STRIP):
        numbers[e] = <float>(<int32_t>words[e] - 32768) * <float>(1.0 / 32768)
    memcpy(noise, numbers, sizeof(numbers))


cdef void random_field(float* field, const Gaussian* g, Py_ssize_t w, uint64_t key) noexcept nogil:
    # field (knots, w) = random knots (knots, knots), uniform in -1 … 1, @ taps (knots, w); stride MAX_SIDE. Products
    # with zeros are omitted: they do not change a sum
    cdef uint64_t bits[MAX_KNOTS + STRIP]  # of four rows of knots, 16 bits each
    cdef float noise[4 * MAX_KNOTS]
    cdef const float* row
    cdef Py_ssize_t k, knot, i, j
    cdef int e
    cdef vec tap, c0, c1, c2, c3
    k = 0
    while k < g.knots:
        i = 0
        while i < g.knots:
            for e in range(STRIP):
                bits[i + e] = split_mix_at(key, k // 4 * g.knots + i + e)
            i += STRIP
        i = 0
        while i < g.knots:
            random_strip(noise + 4 * i, bits + i)
            i += STRIP // 4
        j = 0
        while j < w:
            c0 = c1 = c2 = c3 = splat(0)
            for knot in range(g.strip_first[j], g.strip_last[j]):
                tap, row = load(g.taps + knot * MAX_SIDE + j), noise + knot
                c0 = c0 + splat(row[0]) * tap
                c1 = c1 + splat(row[g.knots]) * tap
                c2 = c2 + splat(row[2 * g.knots]) * tap
                c3 = c3 + splat(row[3 * g.knots]) * tap
            store(field + k * MAX_SIDE + j, c0)
            store(field + (k + 1) * MAX_SIDE + j, c1)
            store(field + (k + 2) * MAX_SIDE + j, c2)
            store(field + (k + 3) * MAX_SIDE + j, c3)
            j += LANES
        k += 4


cdef void displacement_row(
    int32_t* shift_u, int32_t* shift_v, const float* field_u, const float* field_v, const Gaussian* g, Py_ssize_t i,
    Py_ssize_t w,
) noexcept nogil:
    # shift (w,) = alpha · column i of taps (knots, h) @ field (knots, w), in units of 1 / 65,536 pixel
    cdef Py_ssize_t k, j = 0
    cdef vec scaled, u, v
    while j < w:
        u = v = splat(0)
        for k in range(g.first[i], g.last[i]):
            scaled = splat(g.scaled[k * MAX_SIDE + i])
            u = u + scaled * load(field_u + k * MAX_SIDE + j)
            v = v + scaled * load(field_v + k * MAX_SIDE + j)
        store_fixed(shift_u + j, u)
        store_fixed(shift_v + j, v)
        j += LANES


cdef inline void interpolate_strip(
    uint8_t* y, const uint32_t* quads, const int32_t* right, const int32_t* down
) noexcept nogil:
    # y (STRIP,) = bilinear interpolation of four pixels each; right and down: distance from the first, in 1 / 256 pixel
    cdef int32_t mixed[STRIP]
    cdef int32_t first, second, upper, lower
    cdef int e
    for e in range(STRIP):
        first, second = quads[e] & 255, quads[e] >> 8 & 255
        upper = (first << 8) + right[e] * (<int32_t>(quads[e] >> 16 & 255) - first)
        lower = (second << 8) + right[e] * (<int32_t>(quads[e] >> 24) - second)
        mixed[e] = ((upper << 8) + down[e] * (lower - upper) + 32768) >> 16
    store_bytes(y, mixed)


cdef void place_row(
    uint32_t* index, int32_t* right, int32_t* down, const PaddedImage* p, int32_t u, int32_t v, int32_t du, int32_t dv,
    const int32_t* shift_u, const int32_t* shift_v, Py_ssize_t count,
) noexcept nogil:
    # index (count,) of the first pixels around (u + j · du + shift_u[j], v + j · dv + shift_v[j]), a column and row of
    # the padded image; right and down: distance from it, in 1 / 256 pixel; count is in whole strips
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


cdef void distort(
    uint8_t* y, const PaddedImage* p, const double* limits, const Gaussian* g, uint64_t key
) noexcept nogil:
    # y (h, w): source = M (target - centre - shift) + centre + field(target), M the inverse of rotation · shear · scale
    cdef uint8_t pixels[MAX_SIDE * MAX_SIDE + STRIP]
    cdef float fields[2][MAX_KNOTS * MAX_SIDE]
    cdef int32_t shifts[2][MAX_STRIDE]
    cdef uint32_t quads[MAX_SAMPLES]  # at first their indices
    cdef int32_t right[MAX_SAMPLES]
    cdef int32_t down[MAX_SAMPLES]
    cdef Py_ssize_t top, bottom, left, count, begin, end, i, j, k, n  # of rows; of columns
    cdef double cx = 0.5 * (p.w - 1), cy = 0.5 * (p.h - 1), angle = limits[ROTATION] * uniform(key, 0)
    cdef double sx = 1 + limits[SCALE] * uniform(key, 1), sy = 1 + limits[SCALE] * uniform(key, 2)
    cdef double shear = limits[SHEAR] * uniform(key, 3)
    cdef double tx = cx + limits[SHIFT] * uniform(key, 4), ty = cy + limits[SHIFT] * uniform(key, 5)
    cdef double c = cos(angle), s = sin(angle), low = p.h, high = -1, first = p.w, last = -1, row, column, across, along
    cdef double m00 = (c + s * shear) / sx, m01 = (s - c * shear) / sx, m10 = -s / sy, m11 = c / sy
    cdef int32_t u, v, du = <int32_t>floor(m00 * FIXED_ONE + 0.5), dv = <int32_t>floor(m10 * FIXED_ONE + 0.5)
    memset(shifts, 0, sizeof(shifts))
    for k in range(2):
        random_field(fields[k], g, p.w, split_mix_at(key, 6 + k))
    for k in range(4):  # the result is zero outside the distorted corners of the bounding box
        column = sx * ((p.right + 1 + g.reach if k & 1 else p.left - 1 - g.reach) - cx)
        row = sy * ((p.bottom + 1 + g.reach if k & 2 else p.top - 1 - g.reach) - cy)
        across, along = tx + c * column + (c * shear - s) * row, ty + s * column + (s * shear + c) * row
        first, last, low, high = min(first, across), max(last, across), min(low, along), max(high, along)
    top, bottom = max(<Py_ssize_t>0, <Py_ssize_t>floor(low)), min(p.h, <Py_ssize_t>floor(high) + 2)
    left = max(<Py_ssize_t>0, <Py_ssize_t>floor(first))
    count = max(<Py_ssize_t>0, min(p.w, <Py_ssize_t>floor(last) + 2) - left)
    count = (count + STRIP - 1) // STRIP * STRIP
    left = max(<Py_ssize_t>0, min(left, p.w - count))  # strips end in this row, or in the next, computed later
    memset(pixels, 0, p.h * p.w)
    begin = top
    while begin < bottom and count > 0:
        end = min(bottom, begin + MAX_SAMPLES // count)
        n = 0
        for i in range(begin, end):
            if g.knots > 0:
                displacement_row(shifts[0], shifts[1], fields[0], fields[1], g, i, p.w)
            u = <int32_t>floor((m01 * (i - ty) - m00 * tx + cx) * FIXED_ONE + 0.5) + FIXED_ONE + <int32_t>left * du
            v = <int32_t>floor((m11 * (i - ty) - m10 * tx + cy) * FIXED_ONE + 0.5) + FIXED_ONE + <int32_t>left * dv
            place_row(quads + n, right + n, down + n, p, u, v, du, dv, shifts[0] + left, shifts[1] + left, count)
            n += count
        for k in range(n):
            memcpy(&quads[k], p.pairs + quads[k], sizeof(uint32_t))
        n = 0
        for i in range(begin, end):
            j = 0
            while j < count:
                interpolate_strip(pixels + i * p.w + left + j, quads + n, right + n, down + n)
                j += STRIP
                n += STRIP
        begin = end
    if bottom > top:
        memset(pixels + bottom * p.w, 0, STRIP)
    memcpy(y, pixels, p.h * p.w)


cdef void blank_square(uint8_t* y, Py_ssize_t h, Py_ssize_t w, double longest, uint64_t key) noexcept nogil:
    # y (h, w) in place: a square is zero, but for what of it is outside; its centre is anywhere in the image
    cdef Py_ssize_t side = (<Py_ssize_t>(longest * fraction(key, 9) * 256) + 128) >> 8
    cdef Py_ssize_t top = <Py_ssize_t>(h * fraction(key, 10)) - side // 2
    cdef Py_ssize_t left = <Py_ssize_t>(w * fraction(key, 11)) - side // 2
    cdef Py_ssize_t first = max(left, <Py_ssize_t>0), last = min(left + side, w), i
    if first < last:
        for i in range(max(top, <Py_ssize_t>0), min(top + side, h)):
            memset(y + i * w + first, 0, last - first)


cdef void augment_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # image i of y (n, h · w) = image rows[i] of x, distorted by the random numbers of keys[rows[i]], or of rows[i] if
    # there are no keys; split over the images of y
    cdef uint8_t* y = <uint8_t*>op.a[0]
    cdef const uint8_t* x = <const uint8_t*>op.a[1]
    cdef const int64_t* rows = <const int64_t*>op.a[2]
    cdef const int64_t* keys = <const int64_t*>op.a[3]
    cdef const double* limits = <const double*>op.a[5]
    cdef uint64_t epoch = split_mix_at(op.seed, (<const int64_t*>op.a[4])[0]), key
    cdef bint keyed = op.s[0] != 0
    cdef Py_ssize_t knots = op.n[2] if limits[ALPHA] > 0 else 0, d = op.n[0] * op.n[1]
    cdef Py_ssize_t i, k
    cdef Gaussian gaussian
    cdef PaddedImage image
    image.h, image.w, image.ld = op.n[0], op.n[1], (op.n[1] + 2 + STRIP - 1) // STRIP * STRIP
    init_gaussian(&gaussian, op.a[6], knots, op.n[0], op.n[1], <float>limits[ALPHA])
    for i in range(begin, end):
        if i + 1 < end:  # images are read in random order
            k = 0
            while k < d:
                prefetch(x + rows[i + 1] * d + k)
                k += 64
        key = split_mix_at(epoch, keys[rows[i]] if keyed else rows[i])
        if pad_image(&image, x + rows[i] * d, <int>floor(limits[THICKNESS] * uniform(key, 8) * 256 + 0.5)):
            distort(y + i * d, &image, limits, &gaussian, key)
            if limits[CUTOUT] > 0:
                blank_square(y + i * d, op.n[0], op.n[1], limits[CUTOUT], key)
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
    init_op(&op, augment_loop, SAMPLES, n, (16 if taps.shape[0] > 0 else 8) * n * d, 7, 1, 0b1111110)
    op.a[0], op.a[1], op.a[2] = <float*>&y[0, 0], <float*>&x[0, 0], <float*>&rows[0]
    op.a[3], op.a[4] = <float*>&keys[0], <float*>&epoch[0]
    op.a[5], op.a[6] = <float*>&distortion[0], <float*>&taps[0, 0]
    op.n[0], op.n[1], op.n[2] = height, width, taps.shape[0]
    op.s[0] = keys.shape[0] > 0
    op.seed = seed
    submit(&op, (y, x, rows, keys, epoch, distortion, taps) if recording != NULL else None)
