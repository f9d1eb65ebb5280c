# multiply: the register-blocked matrix product of all dense layers.

cdef inline void add_row(vec* c0, vec* c1, float a, vec b0, vec b1) noexcept nogil:
    # c0, c1 += a · b0, b1; inlined, which keeps the sums in registers
    c0[0] = add_product(c0[0], splat(a), b0)
    c1[0] = add_product(c1[0], splat(a), b1)


cdef inline void add_rows(
    vec* c00, vec* c01, vec* c10, vec* c11, vec* c20, vec* c21, float a0, float a1, float a2, vec b0, vec b1
) noexcept nogil:
    # add_row for three rows
    add_row(c00, c01, a0, b0, b1)
    add_row(c10, c11, a1, b0, b1)
    add_row(c20, c21, a2, b0, b1)


cdef inline void store_tile_rows(
    float* c, Py_ssize_t ldc, const float* start, Py_ssize_t ld_start, vec c00, vec c01, vec c10, vec c11, vec c20,
    vec c21,
) noexcept nogil:
    # c (3, TILE_COLS) = start (3, TILE_COLS), or zero, + these sums
    store_two(c, start, 0, c00, c01)
    start = start + ld_start if start != NULL else NULL
    store_two(c + ldc, start, 0, c10, c11)
    start = start + ld_start if start != NULL else NULL
    store_two(c + 2 * ldc, start, 0, c20, c21)


cdef void tile(
    float* c, Py_ssize_t ldc, const float* start, Py_ssize_t ld_start, const float* a, Py_ssize_t row, Py_ssize_t step,
    const float* b, Py_ssize_t ldb, Py_ssize_t k, Py_ssize_t rows,
) noexcept nogil:
    # c (6, TILE_COLS) = start (6, TILE_COLS), or zero, + a (rows, k) @ b (k, TILE_COLS); the last row of a stands for
    # the missing ones
    cdef const float* a0 = a
    cdef const float* a1 = a0 + row * (rows > 1)
    cdef const float* a2 = a1 + row * (rows > 2)
    cdef const float* a3 = a2 + row * (rows > 3)
    cdef const float* a4 = a3 + row * (rows > 4)
    cdef const float* a5 = a4 + row * (rows > 5)
    cdef vec c00 = splat(0), c01 = splat(0), c10 = splat(0), c11 = splat(0), c20 = splat(0), c21 = splat(0)
    cdef vec c30 = splat(0), c31 = splat(0), c40 = splat(0), c41 = splat(0), c50 = splat(0), c51 = splat(0)
    cdef vec b0, b1
    cdef Py_ssize_t p = 0, stop = k * step
    while p != stop:
        b0 = load(b)
        b1 = load(b + LANES)
        b += ldb
        add_rows(&c00, &c01, &c10, &c11, &c20, &c21, a0[p], a1[p], a2[p], b0, b1)
        add_rows(&c30, &c31, &c40, &c41, &c50, &c51, a3[p], a4[p], a5[p], b0, b1)
        p += step
    store_tile_rows(c, ldc, start, ld_start, c00, c01, c10, c11, c20, c21)
    start = start + 3 * ld_start if start != NULL else NULL
    store_tile_rows(c + 3 * ldc, ldc, start, ld_start, c30, c31, c40, c41, c50, c51)


cdef void packed_tile(
    float* c, Py_ssize_t ldc, const float* start, Py_ssize_t ld_start, const float* a, const float* b, Py_ssize_t k
) noexcept nogil:
    # tile for copies: a (k, 6) as pack_rows makes it, b (k, TILE_COLS)
    cdef vec c00 = splat(0), c01 = splat(0), c10 = splat(0), c11 = splat(0), c20 = splat(0), c21 = splat(0)
    cdef vec c30 = splat(0), c31 = splat(0), c40 = splat(0), c41 = splat(0), c50 = splat(0), c51 = splat(0)
    cdef vec b0, b1
    cdef Py_ssize_t p = 0
    while p + 4 <= k:  # 3 % faster than one product at a time
        b0, b1 = load(b), load(b + LANES)
        add_rows(&c00, &c01, &c10, &c11, &c20, &c21, a[0], a[1], a[2], b0, b1)
        add_rows(&c30, &c31, &c40, &c41, &c50, &c51, a[3], a[4], a[5], b0, b1)
        b0, b1 = load(b + 2 * LANES), load(b + 3 * LANES)
        add_rows(&c00, &c01, &c10, &c11, &c20, &c21, a[6], a[7], a[8], b0, b1)
        add_rows(&c30, &c31, &c40, &c41, &c50, &c51, a[9], a[10], a[11], b0, b1)
        b0, b1 = load(b + 4 * LANES), load(b + 5 * LANES)
        add_rows(&c00, &c01, &c10, &c11, &c20, &c21, a[12], a[13], a[14], b0, b1)
        add_rows(&c30, &c31, &c40, &c41, &c50, &c51, a[15], a[16], a[17], b0, b1)
        b0, b1 = load(b + 6 * LANES), load(b + 7 * LANES)
        add_rows(&c00, &c01, &c10, &c11, &c20, &c21, a[18], a[19], a[20], b0, b1)
        add_rows(&c30, &c31, &c40, &c41, &c50, &c51, a[21], a[22], a[23], b0, b1)
        a += 4 * TILE_ROWS
        b += 4 * TILE_COLS
        p += 4
    for p in range(p, k):
        b0, b1 = load(b), load(b + LANES)
        add_rows(&c00, &c01, &c10, &c11, &c20, &c21, a[0], a[1], a[2], b0, b1)
        add_rows(&c30, &c31, &c40, &c41, &c50, &c51, a[3], a[4], a[5], b0, b1)
        a += TILE_ROWS
        b += TILE_COLS
    store_tile_rows(c, ldc, start, ld_start, c00, c01, c10, c11, c20, c21)
    start = start + 3 * ld_start if start != NULL else NULL
    store_tile_rows(c + 3 * ldc, ldc, start, ld_start, c30, c31, c40, c41, c50, c51)


cdef void partial_tile(
    float* c, Py_ssize_t ldc, const float* start, Py_ssize_t ld_start, const float* a, Py_ssize_t row, Py_ssize_t step,
    const float* b, Py_ssize_t ldb, Py_ssize_t k, Py_ssize_t rows, Py_ssize_t cols,
) noexcept nogil:
    # tile for the right and lower edges of c: fewer than 6 rows, or fewer than TILE_COLS columns
    cdef float full[TILE_ROWS * TILE_COLS]
    cdef Py_ssize_t i, j
    cdef vec v
    tile(full, TILE_COLS, NULL, 0, a, row, step, b, ldb, k, rows)
    for i in range(rows):
        j = 0
        while j < cols:
            v = load(full + i * TILE_COLS + j)
            if start != NULL:
                v = load_n(start + i * ld_start + j, cols - j) + v
            store_n(c + i * ldc + j, v, cols - j)
            j += LANES


cdef void one_row(
    float* c, const float* start, const float* a, Py_ssize_t step, const float* b, Py_ssize_t ldb, Py_ssize_t k,
    Py_ssize_t n,
) noexcept nogil:
    # c (n,) = start (n,), or zero, + a (k,) @ b (k, n): four vectors of c at a time, then one, then the
    # last columns
    cdef vec c0, c1, c2, c3, x
    cdef Py_ssize_t j = 0, p
    while j + 4 * LANES <= n:
        c0 = c1 = c2 = c3 = splat(0)
        for p in range(k):
            x = splat(a[p * step])
            c0 = add_fused(c0, x, load(b + p * ldb + j))
            c1 = add_fused(c1, x, load(b + p * ldb + j + LANES))
            c2 = add_fused(c2, x, load(b + p * ldb + j + 2 * LANES))
            c3 = add_fused(c3, x, load(b + p * ldb + j + 3 * LANES))
        store(c + j, load_start(start, j) + c0)
        store(c + j + LANES, load_start(start, j + LANES) + c1)
        store(c + j + 2 * LANES, load_start(start, j + 2 * LANES) + c2)
        store(c + j + 3 * LANES, load_start(start, j + 3 * LANES) + c3)
        j += 4 * LANES
    while j + LANES <= n:
        c0 = splat(0)
        for p in range(k):
            c0 = add_fused(c0, splat(a[p * step]), load(b + p * ldb + j))
        store(c + j, load_start(start, j) + c0)
        j += LANES
    if j < n:
        c0 = splat(0)
        for p in range(k):
            c0 = add_fused(c0, splat(a[p * step]), load_partial(b + p * ldb + j, n - j))
        if start != NULL:
            c0 = load_partial(start + j, n - j) + c0
        store_partial(c + j, c0, n - j)


cdef void add_rows_of(
    float* sums, const float* const* b, const float* a, Py_ssize_t count, Py_ssize_t n
) noexcept nogil:
    # sums (n,) += a (count,) @ the rows b (count) of n floats, in this order; sums has room for whole vectors
    cdef vec x0, x1, x2, x3, c
    cdef Py_ssize_t p = 0, q, j
    while p < count:
        j = 0
        if p + 4 <= count:  # twice as fast as one row at a time; eight are slower
            x0, x1, x2, x3 = splat(a[p]), splat(a[p + 1]), splat(a[p + 2]), splat(a[p + 3])
            while j + LANES <= n:
                c = add_fused(load(sums + j), x0, load(b[p] + j))
                c = add_fused(add_fused(c, x1, load(b[p + 1] + j)), x2, load(b[p + 2] + j))
                store(sums + j, add_fused(c, x3, load(b[p + 3] + j)))
                j += LANES
        while j < n:
            c = load(sums + j)
            for q in range(p, min(p + 4, count)):
                c = add_fused(c, splat(a[q]), load_n(b[q] + j, n - j))
            store(sums + j, c)
            j += LANES
        p += 4


cdef void few_rows(
    float* c, Py_ssize_t ldc, const float* start, Py_ssize_t ld_start, const float* a, Py_ssize_t row, Py_ssize_t step,
    const float* b, Py_ssize_t ldb, Py_ssize_t rows, Py_ssize_t k, Py_ssize_t n,
) noexcept nogil:
    # multiply for few rows and a wide b, which does not fit into a cache: b is read in its own order, and only where a
    # is not zero. One row takes 77 µs instead of 277 for 2,048 by 1,024 weights, four take 270 instead of 560.
    cdef float sums[FEW_ROWS * SPAN]
    cdef const float* listed[CHUNK]
    cdef float factors[CHUNK]
    cdef float* sum_
    cdef vec v
    cdef Py_ssize_t i, j = 0, p, q, left, count
    while j < n:
        left = min(n - j, <Py_ssize_t>SPAN)
        memset(sums, 0, rows * SPAN * sizeof(float))
        p = 0
        while p < k:
            for i in range(rows):
                count = 0
                for q in range(p, min(p + CHUNK, k)):
                    factors[count] = a[i * row + q * step]
                    listed[count] = b + q * ldb + j
                    count += factors[count] != 0
                add_rows_of(sums + i * SPAN, listed, factors, count, left)
            p += CHUNK
        sum_ = sums
        while left > 0:
            for i in range(rows):
                v = load(sum_ + i * SPAN)
                if start != NULL:
                    v = load_n(start + i * ld_start + j, left) + v
                store_n(c + i * ldc + j, v, left)
            sum_ += LANES
            j += LANES
            left -= LANES


cdef void pack(
    float* panel, const float* b, Py_ssize_t ldb, bint transposed, Py_ssize_t k, Py_ssize_t cols
) noexcept nogil:
    # panel (k, TILE_COLS) = b (k, cols), or the transpose of b (cols, k); columns from cols on are zero
    cdef Py_ssize_t p, j
    if cols < TILE_COLS:
        memset(panel, 0, k * TILE_COLS * sizeof(float))
    if transposed:
        for j in range(0, cols // 8 * 8, 8):
            for p in range(0, k // 8 * 8, 8):
                transpose_8x8(panel + p * TILE_COLS + j, TILE_COLS, b + j * ldb + p, ldb)
        for j in range(cols):
            for p in range(k // 8 * 8 if j < cols // 8 * 8 else 0, k):
                panel[p * TILE_COLS + j] = b[j * ldb + p]
    elif cols == TILE_COLS:
        for p in range(k):
            store(panel + p * TILE_COLS, load(b + p * ldb))
            store(panel + p * TILE_COLS + LANES, load(b + p * ldb + LANES))
    else:
        for p in range(k):
            store(panel + p * TILE_COLS, load_n(b + p * ldb, cols))
            if cols > LANES:
                store(panel + p * TILE_COLS + LANES, load_n(b + p * ldb + LANES, cols - LANES))


cdef void pack_rows(
    float* left, const float* a, Py_ssize_t row, Py_ssize_t step, Py_ssize_t rows, Py_ssize_t k
) noexcept nogil:
    # left = a (rows, k) in groups of 6 rows, each group column by column: a tile then reads one stream, and rows that
    # are a page apart map to few cache sets
    cdef Py_ssize_t i = 0, p, r, count
    while i < rows:
        count = min(rows - i, <Py_ssize_t>TILE_ROWS)
        p = 0
        while step == 1 and count == TILE_ROWS and p + 4 <= k:
            transpose_4x4(left + p * TILE_ROWS, TILE_ROWS, a + p, row)
            transpose_4x4(left + p * TILE_ROWS + 2, TILE_ROWS, a + 2 * row + p, row)
            p += 4
        for p in range(p, k):
            for r in range(count):
                left[p * TILE_ROWS + r] = a[r * row + p * step]
        i += TILE_ROWS
        a += TILE_ROWS * row
        left += TILE_ROWS * k


cdef void prefetch_panel(
    const float* b, Py_ssize_t ldb, bint transposed, Py_ssize_t first, Py_ssize_t last
) noexcept nogil:
    # Prefetch the rows first to last of b (k, TILE_COLS), or as much of its transpose, as hardware does not: 5.4 ms
    # instead of 6.3 for 256 rows and 1,024 by 1,024 weights, after an update of them.
    cdef Py_ssize_t p
    for p in range(first, last):
        if transposed:
            prefetch(b + p % TILE_COLS * ldb + p // TILE_COLS * CACHE_LINE)
            continue
        prefetch(b + p * ldb)
        if TILE_COLS > CACHE_LINE:
            prefetch(b + p * ldb + CACHE_LINE)


cdef void multiply_packed(
    float* left, float* c, Py_ssize_t ldc, const float* start, Py_ssize_t ld_start, const float* a, Py_ssize_t row,
    Py_ssize_t step, const float* b, Py_ssize_t ldb, bint transposed, Py_ssize_t rows, Py_ssize_t k, Py_ssize_t n,
) noexcept nogil:
    # multiply for many rows and columns; rows ≤ PACKED_ROWS. Both factors are copied, a to left, to the order in which
    # tiles read them: 256 rows and 1,024 by 1,024 weights take 7.2 ms instead of 8.2.
    cdef float buffer[GRADIENT_BLOCK * TILE_COLS + CACHE_LINE]
    cdef float* panel = <float*>((<size_t>buffer + 63) & ~<size_t>63)
    cdef const float* columns
    cdef const float* init
    cdef Py_ssize_t i, j = 0, cols, next_column = ldb if transposed else 1
    pack_rows(left, a, row, step, rows, k)
    while j < n:
        cols = min(n - j, <Py_ssize_t>TILE_COLS)
        columns = b + j * next_column
        pack(panel, columns, ldb, transposed, k, cols)
        i = 0
        while i < rows:
            init = start + i * ld_start + j if start != NULL else NULL
            if rows - i >= TILE_ROWS and cols == TILE_COLS:
                packed_tile(c + i * ldc + j, ldc, init, ld_start, left + i * k, panel, k)
            else:
                partial_tile(c + i * ldc + j, ldc, init, ld_start, left + i * k, 1, TILE_ROWS, panel, TILE_COLS, k,
                             min(rows - i, <Py_ssize_t>TILE_ROWS), cols)
            if j + TILE_COLS < n:
                prefetch_panel(columns + TILE_COLS * next_column, ldb, transposed, i * k // rows,
                               min(i + TILE_ROWS, rows) * k // rows)
            i += TILE_ROWS
        j += TILE_COLS


cdef void multiply(
    float* c, Py_ssize_t ldc, const float* start, Py_ssize_t ld_start, const float* a, Py_ssize_t row, Py_ssize_t step,
    const float* b, Py_ssize_t ldb, bint transposed, Py_ssize_t rows, Py_ssize_t k, Py_ssize_t n,
) noexcept nogil:
    # c (rows, n) = start + a (rows, k) @ b, where b is (k, n), or (n, k) and transposed; k ≤ GRADIENT_BLOCK. Element
    # (i, p) of a is a[i·row + p·step]. start is (rows, n) with stride ld_start; 0 repeats one row, a bias; NULL is
    # zero.
    cdef float buffer[GRADIENT_BLOCK * TILE_COLS + CACHE_LINE]
    # aligned to a cache line: a load across two lines takes twice as long
    cdef float* panel = <float*>((<size_t>buffer + 63) & ~<size_t>63)
    cdef float* left = NULL
    cdef const float* columns
    cdef const float* init
    cdef Py_ssize_t i = 0, j = 0, cols, ld_columns
    if rows <= FEW_ROWS and n >= PACKED_COLUMNS and not transposed:
        few_rows(c, ldc, start, ld_start, a, row, step, b, ldb, rows, k, n)
        return
    if rows == 1 and not transposed:
        one_row(c, start, a, step, b, ldb, k, n)
        return
    if rows >= 4 * TILE_ROWS and n >= PACKED_COLUMNS:  # 258 KB: too much for the stack of some threads
        left = <float*>malloc(PACKED_ROWS * k * sizeof(float))
    if left != NULL:
        while i < rows:
            multiply_packed(left, c + i * ldc, ldc, start + i * ld_start if start != NULL else NULL, ld_start,
                            a + i * row, row, step, b, ldb, transposed, min(rows - i, <Py_ssize_t>PACKED_ROWS), k, n)
            i += PACKED_ROWS
        free(left)
        return
    while j < n:
        cols = min(n - j, <Py_ssize_t>TILE_COLS)
        if transposed or cols < TILE_COLS:
            pack(panel, b + j * ldb if transposed else b + j, ldb, transposed, k, cols)
            columns = panel
            ld_columns = TILE_COLS
        else:
            columns = b + j
            ld_columns = ldb
        i = 0
        while i < rows:
            init = start + i * ld_start + j if start != NULL else NULL
            if rows - i >= TILE_ROWS and cols == TILE_COLS:
                tile(c + i * ldc + j, ldc, init, ld_start, a + i * row, row, step, columns, ld_columns, k, TILE_ROWS)
            else:
                partial_tile(c + i * ldc + j, ldc, init, ld_start, a + i * row, row, step, columns, ld_columns, k,
                             min(rows - i, <Py_ssize_t>TILE_ROWS), cols)
            i += TILE_ROWS
        j += TILE_COLS
