# multiply: the register-blocked matrix product of all dense layers.

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
    cdef vec b0, b1, x
    cdef Py_ssize_t p = 0, stop = k * step
    while p != stop:
        b0 = load(b)
        b1 = load(b + LANES)
        b += ldb
        x = splat(a0[p])
        c00 = c00 + x * b0
        c01 = c01 + x * b1
        x = splat(a1[p])
        c10 = c10 + x * b0
        c11 = c11 + x * b1
        x = splat(a2[p])
        c20 = c20 + x * b0
        c21 = c21 + x * b1
        x = splat(a3[p])
        c30 = c30 + x * b0
        c31 = c31 + x * b1
        x = splat(a4[p])
        c40 = c40 + x * b0
        c41 = c41 + x * b1
        x = splat(a5[p])
        c50 = c50 + x * b0
        c51 = c51 + x * b1
        p += step
    store(c, load_start(start, 0) + c00)
    store(c + LANES, load_start(start, LANES) + c01)
    c += ldc
    start = start + ld_start if start != NULL else NULL
    store(c, load_start(start, 0) + c10)
    store(c + LANES, load_start(start, LANES) + c11)
    c += ldc
    start = start + ld_start if start != NULL else NULL
    store(c, load_start(start, 0) + c20)
    store(c + LANES, load_start(start, LANES) + c21)
    c += ldc
    start = start + ld_start if start != NULL else NULL
    store(c, load_start(start, 0) + c30)
    store(c + LANES, load_start(start, LANES) + c31)
    c += ldc
    start = start + ld_start if start != NULL else NULL
    store(c, load_start(start, 0) + c40)
    store(c + LANES, load_start(start, LANES) + c41)
    c += ldc
    start = start + ld_start if start != NULL else NULL
    store(c, load_start(start, 0) + c50)
    store(c + LANES, load_start(start, LANES) + c51)


cdef void partial_tile(
    float* c, Py_ssize_t ldc, const float* start, Py_ssize_t ld_start, const float* a, Py_ssize_t row, Py_ssize_t step,
    const float* b, Py_ssize_t ldb, Py_ssize_t k, Py_ssize_t rows, Py_ssize_t cols,
) noexcept nogil:
    # tile for the right and lower edges of c: fewer than 6 rows, or fewer than TILE_COLS columns
    cdef float full[TILE_ROWS * TILE_COLS]
    cdef Py_ssize_t i
    memset(full, 0, sizeof(full))
    for i in range(rows if start != NULL else 0):
        memcpy(full + i * TILE_COLS, start + i * ld_start, cols * sizeof(float))
    tile(full, TILE_COLS, full, TILE_COLS, a, row, step, b, ldb, k, rows)
    for i in range(rows):
        memcpy(c + i * ldc, full + i * TILE_COLS, cols * sizeof(float))


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
            c0 = c0 + x * load(b + p * ldb + j)
            c1 = c1 + x * load(b + p * ldb + j + LANES)
            c2 = c2 + x * load(b + p * ldb + j + 2 * LANES)
            c3 = c3 + x * load(b + p * ldb + j + 3 * LANES)
        store(c + j, load_start(start, j) + c0)
        store(c + j + LANES, load_start(start, j + LANES) + c1)
        store(c + j + 2 * LANES, load_start(start, j + 2 * LANES) + c2)
        store(c + j + 3 * LANES, load_start(start, j + 3 * LANES) + c3)
        j += 4 * LANES
    while j + LANES <= n:
        c0 = splat(0)
        for p in range(k):
            c0 = c0 + splat(a[p * step]) * load(b + p * ldb + j)
        store(c + j, load_start(start, j) + c0)
        j += LANES
    if j < n:
        c0 = splat(0)
        for p in range(k):
            c0 = c0 + splat(a[p * step]) * load_partial(b + p * ldb + j, n - j)
        if start != NULL:
            c0 = load_partial(start + j, n - j) + c0
        store_partial(c + j, c0, n - j)


cdef void pack(
    float* panel, const float* b, Py_ssize_t ldb, bint transposed, Py_ssize_t k, Py_ssize_t cols
) noexcept nogil:
    # panel (k, TILE_COLS) = b (k, cols), or the transpose of b (cols, k); columns from cols on are zero
    cdef Py_ssize_t p, j
    if cols < TILE_COLS:
        memset(panel, 0, k * TILE_COLS * sizeof(float))
    if transposed:
        for j in range(0, cols // 4 * 4, 4):
            for p in range(0, k // 4 * 4, 4):
                transpose_4x4(panel + p * TILE_COLS + j, TILE_COLS, b + j * ldb + p, ldb)
        for j in range(cols):
            for p in range(k // 4 * 4 if j < cols // 4 * 4 else 0, k):
                panel[p * TILE_COLS + j] = b[j * ldb + p]
    elif cols == TILE_COLS:
        for p in range(k):
            store(panel + p * TILE_COLS, load(b + p * ldb))
            store(panel + p * TILE_COLS + LANES, load(b + p * ldb + LANES))
    else:
        for p in range(k):
            memcpy(panel + p * TILE_COLS, b + p * ldb, cols * sizeof(float))


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
    cdef const float* columns
    cdef const float* init
    cdef Py_ssize_t j = 0, i, cols, ld_columns, p
    if rows == 1 and not transposed:
        one_row(c, start, a, step, b, ldb, k, n)
        return
    while j < n:
        cols = min(n - j, <Py_ssize_t>TILE_COLS)
        # Rows of b that are a page apart map to few cache sets; copying them pays if several tiles use the copy.
        if transposed or cols < TILE_COLS or (rows >= 4 * TILE_ROWS and ldb >= 256):
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
            if columns == panel and j + TILE_COLS < n and not transposed:
                # Prefetch the next panel, as hardware does not: 5.4 ms instead of 6.3 for 256 rows and 1,024 by 1,024
                # weights, after an update of them.
                for p in range(i * k // rows, min(i + TILE_ROWS, rows) * k // rows):
                    prefetch(b + p * ldb + j + TILE_COLS)
                    if TILE_COLS > CACHE_LINE:
                        prefetch(b + p * ldb + j + TILE_COLS + CACHE_LINE)
            i += TILE_ROWS
        j += TILE_COLS
