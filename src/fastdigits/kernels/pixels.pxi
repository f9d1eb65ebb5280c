# Products with uint8 images: most pixels are zero, and only the others are multiplied.

cdef float PIXEL_VALUE[256]  # pixel / 255
for _pixel in range(256):
    PIXEL_VALUE[_pixel] = <float>_pixel / <float>255.0


cdef inline Py_ssize_t pop_lowest_bit(uint64_t* bits) noexcept nogil:
    # return the position of the lowest set bit, and clear it
    cdef Py_ssize_t lowest = lowest_bit(bits[0])
    bits[0] &= bits[0] - 1
    return lowest


cdef inline void add_two(vec* c0, vec* c1, vec v, const float* row) noexcept nogil:
    # c0, c1 += v · row, two vectors; inlined, which keeps the sums in registers
    c0[0] = add_fused(c0[0], v, load(row))
    c1[0] = add_fused(c1[0], v, load(row + LANES))


cdef inline void add_four(vec* c0, vec* c1, vec* c2, vec* c3, vec v, const float* row) noexcept nogil:
    add_two(c0, c1, v, row)
    add_two(c2, c3, v, row + 2 * LANES)


cdef void sparse_row(
    float* y, const float* start, const uint8_t* x, const uint64_t* nonzero, Py_ssize_t words, const float* w,
    Py_ssize_t ldw, Py_ssize_t n,
) noexcept nogil:
    # y (n,) = start (n,), or zero, + x / 255 @ w (·, n), over the bytes of x whose bits are 1 in nonzero (words,).
    # Eight vectors of y at a time, then four, two and one: y stays in registers.
    cdef vec c0, c1, c2, c3, c4, c5, c6, c7, v
    cdef const float* row
    cdef uint64_t bits
    cdef Py_ssize_t j = 0, p, e
    while j + 8 * LANES <= n:
        c0 = c1 = c2 = c3 = c4 = c5 = c6 = c7 = splat(0)
        for p in range(words):
            bits = nonzero[p]
            while bits:
                e = CHUNK * p + pop_lowest_bit(&bits)
                v = splat(PIXEL_VALUE[x[e]])
                row = w + e * ldw + j
                add_four(&c0, &c1, &c2, &c3, v, row)
                add_four(&c4, &c5, &c6, &c7, v, row + 4 * LANES)
        store_two(y, start, j, c0, c1)
        store_two(y, start, j + 2 * LANES, c2, c3)
        store_two(y, start, j + 4 * LANES, c4, c5)
        store_two(y, start, j + 6 * LANES, c6, c7)
        j += 8 * LANES
    if j + 4 * LANES <= n:
        c0 = c1 = c2 = c3 = splat(0)
        for p in range(words):
            bits = nonzero[p]
            while bits:
                e = CHUNK * p + pop_lowest_bit(&bits)
                v = splat(PIXEL_VALUE[x[e]])
                row = w + e * ldw + j
                add_four(&c0, &c1, &c2, &c3, v, row)
        store_two(y, start, j, c0, c1)
        store_two(y, start, j + 2 * LANES, c2, c3)
        j += 4 * LANES
    if j + 2 * LANES <= n:
        c0 = c1 = splat(0)
        for p in range(words):
            bits = nonzero[p]
            while bits:
                e = CHUNK * p + pop_lowest_bit(&bits)
                v = splat(PIXEL_VALUE[x[e]])
                row = w + e * ldw + j
                add_two(&c0, &c1, v, row)
        store_two(y, start, j, c0, c1)
        j += 2 * LANES
    while j < n:
        c0 = splat(0)
        for p in range(words):
            bits = nonzero[p]
            while bits:
                e = CHUNK * p + pop_lowest_bit(&bits)
                c0 = add_fused(c0, splat(PIXEL_VALUE[x[e]]), load_n(w + e * ldw + j, n - j))
        store_n(y + j, c0 if start == NULL else load_n(start + j, n - j) + c0, n - j)
        j += LANES


cdef void sparse_two_rows(
    float* y0, float* y1, const float* start0, const float* start1, const uint8_t* x0, const uint8_t* x1,
    const uint64_t* nonzero0, const uint64_t* nonzero1, Py_ssize_t words, const float* w, Py_ssize_t ldw, Py_ssize_t n,
) noexcept nogil:
    # sparse_row for two rows at once: with four vectors of one row alone, each addition waits for the one before.
    # Groups of eight vectors are left to sparse_row.
    cdef vec c0, c1, c2, c3, d0, d1, d2, d3, v
    cdef const float* row
    cdef uint64_t a, b
    cdef Py_ssize_t j = n // (8 * LANES) * (8 * LANES), p, e
    if n - j < 4 * LANES:
        sparse_row(y0, start0, x0, nonzero0, words, w, ldw, n)
        sparse_row(y1, start1, x1, nonzero1, words, w, ldw, n)
        return
    if j > 0:
        sparse_row(y0, start0, x0, nonzero0, words, w, ldw, j)
        sparse_row(y1, start1, x1, nonzero1, words, w, ldw, j)
    c0 = c1 = c2 = c3 = d0 = d1 = d2 = d3 = splat(0)
    for p in range(words):
        a, b = nonzero0[p], nonzero1[p]
        while a != 0 and b != 0:
            e = CHUNK * p + pop_lowest_bit(&a)
            v = splat(PIXEL_VALUE[x0[e]])
            row = w + e * ldw + j
            add_four(&c0, &c1, &c2, &c3, v, row)
            e = CHUNK * p + pop_lowest_bit(&b)
            v = splat(PIXEL_VALUE[x1[e]])
            row = w + e * ldw + j
            add_four(&d0, &d1, &d2, &d3, v, row)
        while a:
            e = CHUNK * p + pop_lowest_bit(&a)
            v = splat(PIXEL_VALUE[x0[e]])
            row = w + e * ldw + j
            add_four(&c0, &c1, &c2, &c3, v, row)
        while b:
            e = CHUNK * p + pop_lowest_bit(&b)
            v = splat(PIXEL_VALUE[x1[e]])
            row = w + e * ldw + j
            add_four(&d0, &d1, &d2, &d3, v, row)
    store_two(y0, start0, j, c0, c1)
    store_two(y0, start0, j + 2 * LANES, c2, c3)
    store_two(y1, start1, j, d0, d1)
    store_two(y1, start1, j + 2 * LANES, d2, d3)
    j += 4 * LANES
    if j < n:
        sparse_row(y0 + j, start0 + j if start0 != NULL else NULL, x0, nonzero0, words, w + j, ldw, n - j)
        sparse_row(y1 + j, start1 + j if start1 != NULL else NULL, x1, nonzero1, words, w + j, ldw, n - j)


cdef void sparse_four_rows(
    float* y, Py_ssize_t ldy, const float* start, Py_ssize_t ld_start, const uint8_t* const* x,
    const uint64_t* nonzero, Py_ssize_t words, const float* w, Py_ssize_t ldw, Py_ssize_t n,
) noexcept nogil:
    # sparse_row for four rows at once, one vector of columns at a time: a narrow layer has too few sums in a row for
    # the next addition not to wait. A byte that is zero in some of the rows adds zero to their sums.
    cdef const uint8_t* x0 = x[0]
    cdef const uint8_t* x1 = x[1]
    cdef const uint8_t* x2 = x[2]
    cdef const uint8_t* x3 = x[3]
    cdef vec sums[4]
    cdef vec c0, c1, c2, c3, v
    cdef uint64_t bits
    cdef Py_ssize_t i, j = 0, k, e
    while j < n:
        c0 = c1 = c2 = c3 = splat(0)
        for k in range(words):
            bits = nonzero[k] | nonzero[words + k] | nonzero[2 * words + k] | nonzero[3 * words + k]
            while bits:
                e = CHUNK * k + pop_lowest_bit(&bits)
                v = load_n(w + e * ldw + j, n - j)
                c0 = add_fused(c0, splat(PIXEL_VALUE[x0[e]]), v)
                c1 = add_fused(c1, splat(PIXEL_VALUE[x1[e]]), v)
                c2 = add_fused(c2, splat(PIXEL_VALUE[x2[e]]), v)
                c3 = add_fused(c3, splat(PIXEL_VALUE[x3[e]]), v)
        sums[0], sums[1], sums[2], sums[3] = c0, c1, c2, c3
        for i in range(4):
            v = sums[i] if start == NULL else load_n(start + i * ld_start + j, n - j) + sums[i]
            store_n(y + i * ldy + j, v, n - j)
        j += LANES


cdef void sparse_rows(
    float* y, Py_ssize_t ldy, const float* start, Py_ssize_t ld_start, const uint8_t* const* x,
    const uint64_t* nonzero, Py_ssize_t words, Py_ssize_t rows, const float* w, Py_ssize_t ldw, Py_ssize_t n,
) noexcept nogil:
    # sparse_row for several rows x (rows); rows ≤ BAND, nonzero (rows, words). All rows take one
    # word, then the next: the 64 rows of w that belong to a word stay in the first-level cache. A sum goes on where it
    # stopped. Vectors of 16 floats are too few per row for that: each addition would wait for the one before.
    cdef float sums[BAND * 8 * LANES]
    cdef vec c0, c1, c2, c3, c4, c5, c6, c7, v
    cdef const float* row
    cdef const float* block
    cdef const float* init
    cdef const uint8_t* pixels
    cdef float* sum_
    cdef uint64_t bits
    cdef Py_ssize_t j = 0, i, k, e
    while LANES <= 8 and j + 8 * LANES <= n:
        for k in range(words):
            block = w + k * CHUNK * ldw + j
            for i in range(rows):
                sum_ = sums + i * 8 * LANES
                bits = nonzero[i * words + k]
                if bits == 0 and 0 < k < words - 1:
                    continue
                if k == 0:
                    c0 = c1 = c2 = c3 = c4 = c5 = c6 = c7 = splat(0)
                else:
                    c0, c1, c2, c3 = load(sum_), load(sum_ + LANES), load(sum_ + 2 * LANES), load(sum_ + 3 * LANES)
                    c4, c5, c6 = load(sum_ + 4 * LANES), load(sum_ + 5 * LANES), load(sum_ + 6 * LANES)
                    c7 = load(sum_ + 7 * LANES)
                pixels = x[i] + k * CHUNK
                while bits:
                    e = pop_lowest_bit(&bits)
                    v = splat(PIXEL_VALUE[pixels[e]])
                    row = block + e * ldw
                    add_four(&c0, &c1, &c2, &c3, v, row)
                    add_four(&c4, &c5, &c6, &c7, v, row + 4 * LANES)
                init = NULL
                if k == words - 1:
                    sum_ = y + i * ldy + j
                    init = start + i * ld_start + j if start != NULL else NULL
                store_two(sum_, init, 0, c0, c1)
                store_two(sum_, init, 2 * LANES, c2, c3)
                store_two(sum_, init, 4 * LANES, c4, c5)
                store_two(sum_, init, 6 * LANES, c6, c7)
        j += 8 * LANES
    if j == n:
        return
    i = 0
    while n - j < 2 * LANES and i + 4 <= rows:
        sparse_four_rows(y + i * ldy + j, ldy, start + i * ld_start + j if start != NULL else NULL, ld_start, x + i,
                         nonzero + i * words, words, w + j, ldw, n - j)
        i += 4
    for i in range(i, rows - 1, 2):
        sparse_two_rows(
            y + i * ldy + j, y + (i + 1) * ldy + j, start + i * ld_start + j if start != NULL else NULL,
            start + (i + 1) * ld_start + j if start != NULL else NULL, x[i], x[i + 1], nonzero + i * words,
            nonzero + (i + 1) * words, words, w + j, ldw, n - j)
    if rows % 2:
        i = rows - 1
        sparse_row(y + i * ldy + j, start + i * ld_start + j if start != NULL else NULL, x[i], nonzero + i * words,
                   words, w + j, ldw, n - j)


cdef inline bint is_sparse(Py_ssize_t nonzero, Py_ssize_t pixels) noexcept nogil:
    # Below half with AVX-512, three fifths elsewhere: there both ways take the same time in
    # benchmarks/kernels/crossing.py. With AVX-512, 64 images take 35 and 45 µs at MNIST's 19 %, and 79 and 100 if all
    # pixels are multiplied.
    return 2 * nonzero < pixels if LANES > 8 else 5 * nonzero < 3 * pixels


cdef void image_pointers(
    const uint8_t** images, const Op* op, int at, Py_ssize_t first, Py_ssize_t count
) noexcept nogil:
    # images (count,) = pointers to the pixels, in a[at], of the samples from first on
    cdef const uint8_t* x = <const uint8_t*>op.a[at]
    cdef Py_ssize_t i
    for i in range(count):
        images[i] = x + (op.rows[first + i] if op.rows != NULL else first + i) * op.n[1]


cdef inline Py_ssize_t word_count(Py_ssize_t pixels) noexcept nogil:
    return (pixels + CHUNK - 1) // CHUNK


cdef Py_ssize_t nonzero_mask(uint64_t* bits, const uint8_t* x, Py_ssize_t n) noexcept nogil:
    # bit i of bits = whether byte i of x (n,) is not zero; returns the number of ones
    cdef uint8_t rest[CHUNK]
    cdef Py_ssize_t p = 0, nonzero = 0
    while (p + 1) * CHUNK <= n:
        bits[p] = nonzero_bytes(x + p * CHUNK)
        nonzero += count_bits(bits[p])
        p += 1
    if p * CHUNK < n:
        memset(rest, 0, CHUNK)
        memcpy(rest, x + p * CHUNK, n - p * CHUNK)
        bits[p] = nonzero_bytes(rest)
        nonzero += count_bits(bits[p])
    return nonzero


cdef void scale_pixels(
    float* band, const uint8_t* const* images, Py_ssize_t p, Py_ssize_t rows, Py_ssize_t cols
) noexcept nogil:
    # band (rows, cols) = the pixels p to p + cols of the images (rows) / 255
    cdef const uint8_t* pixels
    cdef Py_ssize_t i, j
    for i in range(rows):
        pixels = images[i] + p
        for j in range(cols):
            band[i * cols + j] = <float>pixels[j] / <float>255.0


cdef void sparse_multiply(
    float* y, Py_ssize_t ldy, const float* start, Py_ssize_t ld_start, const uint8_t* const* x,
    const uint64_t* nonzero, Py_ssize_t words, Py_ssize_t rows, const float* w, Py_ssize_t k, Py_ssize_t n,
) noexcept nogil:
    # y (rows, n) = start (rows, n), or zero, + x (rows, k) / 255 @ w (k, n); k ≤ GRADIENT_BLOCK. Rows of a wide w are
    # pages apart and map to few cache sets: strips of 64 columns are copied first.
    cdef float strip[GRADIENT_BLOCK * WIDE_STRIP]
    cdef Py_ssize_t i, j = 0, p, cols
    if n < PACKED_COLUMNS or rows < STRIP_ROWS:
        sparse_rows(y, ldy, start, ld_start, x, nonzero, words, rows, w, n, n)
        return
    while j < n:
        cols = min(n - j, <Py_ssize_t>WIDE_STRIP)
        for p in range(k):
            memcpy(strip + p * WIDE_STRIP, w + p * n + j, cols * sizeof(float))
        i = 0
        while i < rows:
            sparse_rows(y + i * ldy + j, ldy, start + i * ld_start + j if start != NULL else NULL, ld_start, x + i,
                        nonzero + i * words, words, min(rows - i, <Py_ssize_t>BAND), strip, WIDE_STRIP, cols)
            i += BAND
        j += WIDE_STRIP


cdef void forward_pixels(
    const Op* op, float* y, const float* bias, Py_ssize_t first, Py_ssize_t rows, Py_ssize_t p, Py_ssize_t stop
) noexcept nogil:
    # y (rows, out) = bias (out,), or zero, + pixels / 255 @ weight, over the pixels p to stop of the samples from first
    # on; rows ≤ WIDE_BAND
    cdef float band[BAND * (INPUT_BLOCK + CHUNK)]
    cdef uint64_t masks[WIDE_BAND * MASK_WORDS]
    cdef const uint8_t* images[WIDE_BAND]
    cdef const uint8_t* pixels[WIDE_BAND]
    cdef const float* start = bias
    cdef const float* weight
    cdef Py_ssize_t n_in = op.n[1], n_out = op.n[2], ld_start = 0, width, words, count, i, k
    image_pointers(images, op, 2, first, rows)
    while p < stop or start == bias:
        width = next_block(stop - p)
        words = word_count(width)
        weight = op.a[3] + p * n_out
        count = 0
        for i in range(rows):
            pixels[i] = images[i] + p
            count += nonzero_mask(masks + i * words, pixels[i], width)
            for k in range(words if op.rows == NULL else 0):
                prefetch(pixels[i] + rows * n_in + k * CHUNK)
        if is_sparse(count, rows * width):
            sparse_multiply(y, n_out, start, ld_start, pixels, masks, words, rows, weight, width, n_out)
        else:
            i = 0
            while i < rows:
                k = min(rows - i, <Py_ssize_t>BAND)
                scale_pixels(band, images + i, p, k, width)
                multiply(y + i * n_out, n_out, start + i * ld_start if start != NULL else NULL, ld_start, band, width,
                         1, weight, n_out, False, k, width, n_out)
                i += BAND
        start, ld_start = y, n_out
        p += max(width, 1)


cdef void prefetch_next_images(
    const Op* op, Py_ssize_t first, Py_ssize_t last, Py_ssize_t p, Py_ssize_t width
) noexcept nogil:
    # Prefetch the pixels p to p + width of the images first to last of the next step. An epoch reads images in random
    # order; without this, waiting for them takes 8.6 of 100 µs per step.
    cdef const uint8_t* pixels
    cdef Py_ssize_t i
    if op.next_rows == NULL or op.rows == NULL:
        return
    for i in range(first, last):
        pixels = <const uint8_t*>op.a[3] + op.next_rows[i] * op.n[1] + p
        prefetch(pixels)
        if <size_t>pixels // 64 != (<size_t>pixels + width - 1) // 64:
            prefetch(pixels + width - 1)


cdef void transpose(
    uint8_t* y, Py_ssize_t ldy, const uint8_t* const* x, Py_ssize_t p, Py_ssize_t width, Py_ssize_t depth
) noexcept nogil:
    # y (width, ldy) = the bytes p to p + width of the rows x (depth), transposed, then zeros; in tiles of 32 by 16
    cdef Py_ssize_t i, s, deep = depth // 32 * 32, wide = width // 16 * 16
    if deep < ldy:
        memset(y, 0, width * ldy)
    for s in range(0, deep, 32):
        for i in range(0, wide, 16):
            transpose_32x16(y + i * ldy + s, ldy, x + s, p + i)
    for s in range(depth):
        for i in range(wide if s < deep else 0, width):
            y[i * ldy + s] = x[s][p + i]


cdef void multiply_few(
    float* dweight, const float* dy, const uint8_t* const* images, Py_ssize_t depth, Py_ssize_t p, Py_ssize_t width,
    Py_ssize_t n_out,
) noexcept nogil:
    # dweight (width, n_out) = (the pixels p to p + width of the images (depth) / 255)ᵀ @ dy (depth, n_out)
    cdef Py_ssize_t i, j, s
    cdef vec c
    for i in range(width):
        j = 0
        while j < n_out:
            c = splat(0)
            for s in range(depth):
                c = add_fused(c, splat(PIXEL_VALUE[images[s][p + i]]), load_n(dy + s * n_out + j, n_out - j))
            store_n(dweight + j, c, n_out - j)
            j += LANES
        dweight += n_out


cdef void backward_pixels(
    const Op* op, float* dweight, bint reuse, const float* dy, Py_ssize_t s, Py_ssize_t depth, Py_ssize_t p,
    Py_ssize_t width,
) noexcept nogil:
    # dweight (width, n_out) += (x (depth, width) / 255)ᵀ @ dy (depth, n_out), for the samples from s and the pixels
    # from p on; width ≤ CHUNK, depth ≤ GRADIENT_BLOCK. The first samples are assigned, not added; the update follows
    # the last. x is transposed first, which makes the samples of a pixel adjacent
    cdef Py_ssize_t n_out = op.n[2]
    cdef bint first = s == 0, last = s + depth == op.n[0]
    cdef const uint8_t* images[GRADIENT_BLOCK]
    cdef uint8_t transposed[CHUNK * GRADIENT_BLOCK]
    cdef const uint8_t* pixels[CHUNK]
    cdef float band[BAND * GRADIENT_BLOCK]
    cdef uint64_t nonzero[CHUNK * MASK_WORDS]
    cdef float* row = dweight
    cdef Py_ssize_t words = word_count(depth), stride = words * CHUNK, i, k, rows, count = 0
    image_pointers(images, op, 3, s, depth)
    if first and depth * n_out <= FEW:
        prefetch_next_images(op, 0, depth, p, width)
        multiply_few(dweight, dy, images, depth, p, width, n_out)
        apply_update(op, 0, dweight, p * n_out, width * n_out)
        return
    transpose(transposed, stride, images, p, width, depth)
    for i in range(width):
        pixels[i] = transposed + i * stride
        for k in range(words):
            nonzero[i * words + k] = nonzero_bytes(pixels[i] + k * CHUNK)
            count += count_bits(nonzero[i * words + k])
    if is_sparse(count, width * depth):
        i = 0
        while i < width:
            rows = width - i
            if n_out < PACKED_COLUMNS or depth <= FEW_ROWS:
                rows = min(rows, <Py_ssize_t>(UPDATE_ROWS if words == 1 else CHUNK // 2))
            prefetch_next_images(op, s + depth * i // width, s + depth * (i + rows) // width, p, width)
            row = dweight if reuse and first and last else dweight + i * n_out
            sparse_multiply(row, n_out, NULL if first else row, n_out, pixels + i, nonzero + i * words, words, rows, dy,
                            depth, n_out)
            if last:
                apply_update(op, 0, row, (p + i) * n_out, rows * n_out)
            i += rows
        return
    prefetch_next_images(op, s, s + depth, p, width)
    i = 0
    while i < width:
        rows = min(width - i, <Py_ssize_t>BAND)
        scale_pixels(band, images, p + i, depth, rows)
        row = dweight + i * n_out
        multiply(row, n_out, NULL if first else row, n_out, band, 1, rows, dy, n_out, False, rows, depth, n_out)
        i += BAND
    if last:
        apply_update(op, 0, dweight, p * n_out, width * n_out)
