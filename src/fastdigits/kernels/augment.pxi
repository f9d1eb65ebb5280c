# Augmentation: rotate, scale, shear, shift and elastically distort images, change the thickness of strokes, and blank a
# square.

# Coordinates are integers in units of 1 / 65,536 pixel, and interpolation weights in units of 1 / 256: all instruction
# sets give the same result, but for rounding in elastic fields. Inner loops run STRIP or 2 · STRIP times, so that
# compilers make whole vectors of them; later code overwrites, clears or ignores what they write beyond a row's end.

cdef enum:
    MAX_SIDE = 64  # largest height and width of an image: all buffers fit on the stack
    STRIP = 16
    HALF_STRIP = 8  # rows of the result are computed in multiples of this many pixels
    MAX_STRIDE = 2 * MAX_SIDE  # longest row with its border: a power of 2
    MAX_GREY = (MAX_SIDE + 3) * MAX_STRIDE
    MAX_PAIRS = (MAX_SIDE + 2) * MAX_STRIDE + 1
    ONE_READ = 64  # bytes that nonzero_bytes reads
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
    # Each pair is a pixel and the one below it, one byte each. Pixel (0, 0) is at ld + 1, inside a border of zeros.
    # Four bytes from a pair on are therefore the neighbours of a point between these pixels.
    uint16_t pairs[MAX_PAIRS]
    uint8_t inside[MAX_SIDE]  # 255 in the image's columns, 0 beyond
    Py_ssize_t h, w
    Py_ssize_t ld  # length of a row with a border of one pixel: 2 ** bits, at least STRIP
    int bits
    Py_ssize_t top, bottom, left, right  # first and last row and column with nonzero pixels


cdef struct Samples:  # points of an image between four pixels each; one struct, so that compilers see no overlap
    int32_t u[MAX_SAMPLES + STRIP]  # column and row in the padded image, in 1 / 65,536 pixel
    int32_t v[MAX_SAMPLES + STRIP]
    uint32_t quads[MAX_SAMPLES + STRIP]  # index of the first pixel; then all four
    int32_t du[5][MAX_SIDE]  # offsets from the first point of each of four rows, displaced; in the last row not
    int32_t dv[5][MAX_SIDE]
    uint8_t mixed[MAX_SAMPLES]


cdef struct Grey:  # images with a border of zeros, which nothing overwrites, and a stride of ld
    uint8_t image[MAX_GREY]
    uint8_t eroded[MAX_GREY]
    uint8_t changed[MAX_GREY]


cdef inline void copy_strip(uint8_t* y, const uint8_t* x, const uint8_t* inside) noexcept nogil:
    # y (2 · STRIP,) = x & inside. Compilers vectorise a loop over a local array: no pointer can alias it
    cdef uint8_t bytes[2 * STRIP]
    cdef int e
    for e in range(2 * STRIP):
        bytes[e] = x[e] & inside[e]
    memcpy(y, bytes, 2 * STRIP)


cdef inline void pair_strip(
    uint16_t* pairs, const uint8_t* row, const uint8_t* below, const uint8_t* inside
) noexcept nogil:
    cdef uint16_t pair[STRIP]
    cdef int e
    for e in range(STRIP):
        pair[e] = (row[e] & inside[e]) | (below[e] & inside[e]) << 8
    memcpy(pairs, pair, sizeof(pair))


cdef inline void largest_strip(
    uint8_t* best, const uint8_t* row, Py_ssize_t ld, bint square, uint8_t flip
) noexcept nogil:
    # best (2 · STRIP,) = the largest of each pixel and its four neighbours, or eight if square; with flip = 255 the
    # smallest, flipped
    cdef const uint8_t* above = row - ld
    cdef const uint8_t* below = row + ld
    cdef uint8_t a, b
    cdef int e
    for e in range(2 * STRIP):
        a, b = max(row[e - 1] ^ flip, row[e + 1] ^ flip), max(above[e] ^ flip, below[e] ^ flip)
        best[e] = max(max(a, b), row[e] ^ flip)
    if square:
        for e in range(2 * STRIP):
            a = max(above[e - 1] ^ flip, above[e + 1] ^ flip)
            b = max(below[e - 1] ^ flip, below[e + 1] ^ flip)
            best[e] = max(best[e], max(a, b))


cdef void erode(uint8_t* y, const uint8_t* x, const PaddedImage* p, bint square) noexcept nogil:
    # y (h, w) = the smallest of each pixel of x and its neighbours. Rows have a border of zeros and a stride of p.ld
    cdef uint8_t best[2 * STRIP]
    cdef Py_ssize_t i, j
    cdef int e
    for i in range(1, p.h + 1):
        j = 0
        while j < p.w:
            largest_strip(best, x + i * p.ld + 1 + j, p.ld, square, 255)
            for e in range(2 * STRIP):
                best[e] = ~best[e] & p.inside[j + e]
            memcpy(y + i * p.ld + 1 + j, best, 2 * STRIP)
            j += 2 * STRIP


cdef void thicken(uint8_t* y, const uint8_t* x, const PaddedImage* p, bint square, int weight) noexcept nogil:
    # y (h, w) = x + weight / 256 · (dilated x - x)
    cdef uint8_t best[2 * STRIP]
    cdef const uint8_t* row
    cdef Py_ssize_t i, j
    cdef uint16_t old = <uint16_t>(256 - weight), new = <uint16_t>weight, grey
    cdef int e
    for i in range(1, p.h + 1):
        j = 0
        while j < p.w:
            row = x + i * p.ld + 1 + j
            largest_strip(best, row, p.ld, square, 0)
            for e in range(2 * STRIP):
                grey = <uint16_t>(row[e] * old + best[e] * new + 128)
                best[e] = <uint8_t>(grey >> 8) & p.inside[j + e]
            memcpy(y + i * p.ld + 1 + j, best, 2 * STRIP)
            j += 2 * STRIP


cdef void thin(
    uint8_t* y, const uint8_t* x, const uint8_t* eroded, const PaddedImage* p, bint square, int weight
) noexcept nogil:
    # y (h, w) = x + weight / 256 · (eroded - x); what dilating eroded does not bring back keeps half of its grey
    cdef uint8_t best[2 * STRIP]
    cdef const uint8_t* row
    cdef const uint8_t* kept
    cdef uint8_t rest
    cdef Py_ssize_t i, j
    cdef uint16_t old = <uint16_t>(256 - weight), new = <uint16_t>weight, grey
    cdef int e
    for i in range(1, p.h + 1):
        j = 0
        while j < p.w:
            row, kept = x + i * p.ld + 1 + j, eroded + i * p.ld + 1 + j
            largest_strip(best, kept, p.ld, square, 0)
            for e in range(2 * STRIP):
                rest = <uint8_t>(row[e] - best[e]) >> 1
                grey = <uint16_t>(row[e] * old + max(kept[e], rest) * new + 128)
                best[e] = <uint8_t>(grey >> 8) & p.inside[j + e]
            memcpy(y + i * p.ld + 1 + j, best, 2 * STRIP)
            j += 2 * STRIP


cdef void change_thickness(Grey* g, const uint8_t** rows, const PaddedImage* p, int amount) noexcept nogil:
    # rows (h,) of an image, with strokes amount / 256 pixel thicker on each side, or thinner; then in one of the
    # buffers. Each step is a dilation or an erosion by a cross, then by a square, and so on; the last one counts in
    # part. What an erosion removes wholly, so that a dilation does not bring it back, keeps half of its grey
    cdef uint8_t* x = g.image
    cdef uint8_t* y = g.changed
    cdef int k, weight
    cdef Py_ssize_t i, j, size = (p.h + 3) * p.ld
    memset(g.image, 0, size)
    memset(g.eroded, 0, size)
    memset(g.changed, 0, size)
    for i in range(p.h):
        j = 0
        while j < p.w:
            copy_strip(x + (i + 1) * p.ld + 1 + j, rows[i] + j, p.inside + j)
            j += 2 * STRIP
    for k in range((abs(amount) >> 8) + 1):
        weight = min(abs(amount) - 256 * k, 256)
        if amount > 0:
            thicken(y, x, p, k & 1, weight)
        else:
            erode(g.eroded, x, p, k & 1)
            thin(y, x, g.eroded, p, k & 1, weight)
        x, y = y, x
    for i in range(p.h):
        rows[i] = x + (i + 1) * p.ld + 1


cdef bint pad_image(PaddedImage* p, Grey* g, const uint8_t* x, int thicker) noexcept nogil:
    # p = x (h, w) with a border, in pairs, and its bounding box; return False if all pixels are zero. Strokes are
    # thicker / 256 pixel thicker on each side
    cdef const uint8_t* rows[MAX_SIDE + 2]  # with the border
    cdef uint8_t border[MAX_SIDE]
    cdef uint8_t tail[2 * ONE_READ]
    cdef uint64_t nonzero, columns = 0, all_columns = (<uint64_t>2 << (p.w - 1)) - 1
    cdef Py_ssize_t i, j, d = p.h * p.w, safe = (d - ONE_READ) // p.w + 1 if d >= ONE_READ else 0
    memset(border, 0, sizeof(border))
    memcpy(tail, x + safe * p.w, d - safe * p.w)  # rows behind which fewer than ONE_READ bytes can be read
    rows[0] = rows[p.h + 1] = border
    for i in range(p.h):
        rows[i + 1] = x + i * p.w if i < safe else tail + (i - safe) * p.w
    if thicker != 0:
        change_thickness(g, rows + 1, p, thicker)
    p.top, p.bottom = p.h, -1
    for i in range(p.h):
        nonzero = nonzero_bytes(rows[i + 1]) & all_columns
        if nonzero:
            p.top, p.bottom = min(p.top, i), i
        columns |= nonzero
    if columns == 0:
        return False
    p.left, p.right = lowest_bit(columns), p.w - 1
    while not columns >> p.right & 1:
        p.right -= 1
    for i in range(p.h + 1):
        j = 0
        while j < p.w:
            pair_strip(p.pairs + i * p.ld + 1 + j, rows[i] + j, rows[i + 1] + j, p.inside + j)
            j += STRIP
    return True


cdef struct Gaussian:  # taps of elastic fields, where they are not zero, and the fields of an image
    float taps[MAX_KNOTS * MAX_SIDE]  # (knots, longest side), stride MAX_SIDE
    float scaled[MAX_KNOTS * MAX_SIDE + STRIP]  # alpha / 32,768 · taps; four taps are read from the last one on
    # Displacements of columns and of rows, (knots, w), stride MAX_SIDE; vectors are read from the last column on.
    # Before that, this is the memory of a Grey
    float fields[2][(MAX_KNOTS + 1) * MAX_SIDE]
    Py_ssize_t first[MAX_SIDE]  # first and last + 1 knot of four rows of the image from each row on
    Py_ssize_t last[MAX_SIDE]
    Py_ssize_t strip_first[MAX_SIDE]  # the same for each vector of columns
    Py_ssize_t strip_last[MAX_SIDE]
    Py_ssize_t knots
    double reach  # no displacement is longer, in pixels


cdef struct Workspace:
    vec alignment  # aligns samples and fields like a vector: one across two cache lines takes twice as long to load
    Samples at
    Gaussian gaussian
    PaddedImage image


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
        g.scaled[i] = alpha * g.taps[i] * <float>(1.0 / 32768)
    for i in range(longest):
        total = 0
        for k in range(knots):
            total += fabs(g.taps[k * MAX_SIDE + i])
        most = max(most, total)
    g.reach = min(alpha * most * most, <double>MAX_DISPLACEMENT)
    for i in range(h):
        nonzero_knots(&g.first[i], &g.last[i], g, i, i + 1)
    for i in range(h):
        for k in range(i + 1, min(i + 4, h)):
            g.first[i], g.last[i] = min(g.first[i], g.first[k]), max(g.last[i], g.last[k])
    i = 0
    while i < w:
        nonzero_knots(&g.strip_first[i], &g.strip_last[i], g, i, i + LANES)
        i += LANES


cdef inline void random_strip(float* noise, const uint64_t* bits) noexcept nogil:
    # noise (STRIP,) = 16 bits each, as whole numbers from -32,768
    cdef uint16_t words[STRIP]
    cdef float numbers[STRIP]
    cdef int e
    memcpy(words, bits, sizeof(words))
    for e in range(STRIP):
        numbers[e] = <float>(<int32_t>words[e] - 32768)
    memcpy(noise, numbers, sizeof(numbers))


cdef void random_field(float* field, const Gaussian* g, Py_ssize_t w, uint64_t key) noexcept nogil:
    # field (knots, w) = random knots (knots, knots), uniform in -32,768 … 32,767, @ taps (knots, w); stride MAX_SIDE.
    # Products with zeros are omitted: they do not change a sum
    cdef uint64_t bits[MAX_KNOTS + STRIP]  # of four rows of knots, 16 bits each
    cdef uint64_t first
    cdef float noise[4 * MAX_KNOTS]
    cdef const float* row
    cdef Py_ssize_t k, knot, i, j
    cdef int e
    cdef vec tap, c0, c1, c2, c3
    k = 0
    while k < g.knots:
        i = 0
        while i < g.knots:
            first = key + golden(k // 4 * g.knots + i + 1)
            for e in range(STRIP):
                bits[i + e] = split_mix(first + golden(e))
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


cdef void displace_rows(Samples* at, const Gaussian* g, Py_ssize_t i, Py_ssize_t left, Py_ssize_t count) noexcept nogil:
    # at.du and at.dv (4, count) = their last rows + alpha · columns i … i + 3 of taps (knots, h) @ both fields (knots,
    # count from left). Writes whole vectors; what is beyond count is arbitrary
    cdef const float* tap
    cdef Py_ssize_t k, j = 0
    cdef vec u, v, u0, u1, u2, u3, v0, v1, v2, v3
    while j < count:
        u0 = u1 = u2 = u3 = v0 = v1 = v2 = v3 = splat(0)
        for k in range(g.first[i], g.last[i]):
            tap = g.scaled + k * MAX_SIDE + i
            u = load(g.fields[0] + k * MAX_SIDE + left + j)
            v = load(g.fields[1] + k * MAX_SIDE + left + j)
            u0, v0 = u0 + splat(tap[0]) * u, v0 + splat(tap[0]) * v
            u1, v1 = u1 + splat(tap[1]) * u, v1 + splat(tap[1]) * v
            u2, v2 = u2 + splat(tap[2]) * u, v2 + splat(tap[2]) * v
            u3, v3 = u3 + splat(tap[3]) * u, v3 + splat(tap[3]) * v
        store_fixed(at.du[0] + j, u0, at.du[4] + j)
        store_fixed(at.du[1] + j, u1, at.du[4] + j)
        store_fixed(at.du[2] + j, u2, at.du[4] + j)
        store_fixed(at.du[3] + j, u3, at.du[4] + j)
        store_fixed(at.dv[0] + j, v0, at.dv[4] + j)
        store_fixed(at.dv[1] + j, v1, at.dv[4] + j)
        store_fixed(at.dv[2] + j, v2, at.dv[4] + j)
        store_fixed(at.dv[3] + j, v3, at.dv[4] + j)
        j += LANES


cdef inline int32_t fixed(double x) noexcept nogil:
    # x in units of 1 / 65,536, rounded; floor is a call where the processor has no instruction for it
    cdef double scaled = x * FIXED_ONE + 0.5
    cdef int32_t whole = <int32_t>scaled
    return whole - (whole > scaled)


cdef void place_row(
    Samples* at, Py_ssize_t n, int row, const PaddedImage* p, int32_t u, int32_t v, Py_ssize_t count
) noexcept nogil:
    # samples n … n + count - 1: at columns u + at.du[row] and rows v + at.dv[row] of the padded image, each limited to
    # it. Writes whole strips
    cdef uint32_t max_u = <uint32_t>(p.w + 1) * FIXED_ONE, max_v = <uint32_t>(p.h + 1) * FIXED_ONE, a, b
    cdef int bits = p.bits
    cdef Py_ssize_t j = 0
    cdef int e
    while j < count:
        for e in range(STRIP):
            a, b = <uint32_t>u + <uint32_t>at.du[row][j + e], <uint32_t>v + <uint32_t>at.dv[row][j + e]
            a = a if a < max_u else max_u  # negative ones are larger; the whole border is 0
            b = b if b < max_v else max_v
            at.quads[n + j + e] = (b >> 16 << bits) + (a >> 16)
            at.u[n + j + e], at.v[n + j + e] = <int32_t>a, <int32_t>b
        j += STRIP


cdef void distort(uint8_t* y, Workspace* work, const double* limits, uint64_t key) noexcept nogil:
    # y (h, w): source = M (target - centre - shift) + centre + field(target), M the inverse of rotation · shear · scale
    cdef Samples* at = &work.at
    cdef Gaussian* g = &work.gaussian
    cdef const PaddedImage* p = &work.image
    cdef uint8_t pixels[MAX_SIDE * MAX_SIDE + 4 * STRIP]
    cdef int32_t first_u[MAX_SIDE]
    cdef int32_t first_v[MAX_SIDE]
    cdef Py_ssize_t top, bottom, left, count, begin, end, i, j, k, n
    cdef double cx = 0.5 * (p.w - 1), cy = 0.5 * (p.h - 1), angle = limits[ROTATION] * uniform(key, 0)
    cdef double sx = 1 + limits[SCALE] * uniform(key, 1), sy = 1 + limits[SCALE] * uniform(key, 2)
    cdef double shear = limits[SHEAR] * uniform(key, 3)
    cdef double tx = cx + limits[SHIFT] * uniform(key, 4), ty = cy + limits[SHIFT] * uniform(key, 5)
    cdef double c = cos(angle), s = sin(angle), low = p.h, high = -1, first = p.w, last = -1, row, column, across, along
    cdef double m00 = (c + s * shear) / sx, m01 = (s - c * shear) / sx, m10 = -s / sy, m11 = c / sy
    cdef int32_t du = fixed(m00), dv = fixed(m10)
    for j in range(MAX_SIDE):
        at.du[4][j], at.dv[4][j] = <int32_t>j * du, <int32_t>j * dv
    for k in range(2):
        random_field(g.fields[k], g, p.w, split_mix_at(key, 6 + k))
    for k in range(4):  # the result is zero outside the distorted corners of the bounding box
        column = sx * ((p.right + 1 + g.reach if k & 1 else p.left - 1 - g.reach) - cx)
        row = sy * ((p.bottom + 1 + g.reach if k & 2 else p.top - 1 - g.reach) - cy)
        across, along = tx + c * column + (c * shear - s) * row, ty + s * column + (s * shear + c) * row
        first, last, low, high = min(first, across), max(last, across), min(low, along), max(high, along)
    top, bottom = max(<Py_ssize_t>0, <Py_ssize_t>floor(low)), min(p.h, <Py_ssize_t>floor(high) + 2)
    left = max(<Py_ssize_t>0, <Py_ssize_t>floor(first))
    count = max(<Py_ssize_t>0, min(p.w, <Py_ssize_t>floor(last) + 2) - left)
    count = (count + HALF_STRIP - 1) // HALF_STRIP * HALF_STRIP
    left = max(<Py_ssize_t>0, min(left, p.w - count))  # half strips end in this row, or in the next, written later
    i = 0
    while i < p.h * p.w:
        memset(pixels + i, 0, 4 * STRIP)  # of a fixed size: GCC makes a slow instruction of others
        i += 4 * STRIP
    for i in range(top, bottom):
        first_u[i] = fixed(m01 * (i - ty) - m00 * tx + cx) + FIXED_ONE + <int32_t>left * du
        first_v[i] = fixed(m11 * (i - ty) - m10 * tx + cy) + FIXED_ONE + <int32_t>left * dv
    begin = top
    while begin < bottom and count > 0:
        end = min(bottom, begin + MAX_SAMPLES // count)
        n = 0
        for i in range(begin, end):
            if g.knots > 0 and (i - begin) % 4 == 0:
                displace_rows(at, g, i, left, count)
            place_row(at, n, (i - begin) % 4 if g.knots > 0 else 4, p, first_u[i], first_v[i], count)
            n += count
        load_quads(at.quads, n, p.pairs)
        j = 0
        while j < n:
            between_pixels(at.mixed + j, at.quads + j, at.u + j, at.v + j)
            j += STRIP
        n = 0
        for i in range(begin, end):
            j = 0
            while j + STRIP <= count:
                memcpy(pixels + i * p.w + left + j, at.mixed + n + j, STRIP)
                j += STRIP
            if j < count:
                memcpy(pixels + i * p.w + left + j, at.mixed + n + j, HALF_STRIP)
            n += count
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
    cdef Workspace work
    cdef PaddedImage* image = &work.image
    cdef Grey* grey = <Grey*>work.gaussian.fields
    image.h, image.w, image.bits = op.n[0], op.n[1], 4
    while 1 << image.bits < op.n[1] + 2:
        image.bits += 1
    image.ld = 1 << image.bits
    memset(image.pairs, 0, ((image.h + 2) * image.ld + 1) * sizeof(uint16_t))
    memset(image.inside, 0, sizeof(image.inside))
    memset(image.inside, 255, op.n[1])
    init_gaussian(&work.gaussian, op.a[6], knots, op.n[0], op.n[1], <float>limits[ALPHA])
    for i in range(begin, end):
        if i + 1 < end:  # images are read in random order
            k = 0
            while k < d:
                prefetch(x + rows[i + 1] * d + k)
                k += 64
        key = split_mix_at(epoch, keys[rows[i]] if keyed else rows[i])
        if pad_image(image, grey, x + rows[i] * d, <int>floor(limits[THICKNESS] * uniform(key, 8) * 256 + 0.5)):
            distort(y + i * d, &work, limits, key)
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
