# Sizes of the blocks in which kernels work, and the split of inputs and samples into blocks and halves.

cdef enum:
    CACHE_LINE = 16  # floats
    SAMPLE_BLOCK = 16  # samples that one thread computes together; sums over a batch are sums over these blocks
    WORK_PER_THREAD = 16384  # multiply-adds of a stage that pay for one more thread that is awake
    WORK_PER_WAKEUP = 1 << 22  # multiply-adds of a whole call that pay for waking a thread: 0.1 ms, against 50 µs
    MAX_BINDINGS = 8  # uses of a bound array in a program, and an end mark
    CHOICE_SLOTS = 16  # amounts of work for which programs share a measured choice of parallel or serial

cdef enum:
    TILE_ROWS = 6  # with two vectors per row: 12 sums, 2 factors and 1 broadcast fit into 16 registers
    TILE_COLS = 2 * LANES
    INPUT_BLOCK = 192  # inputs per partial sum: three chunks of pixels; a panel of this depth fits into the cache
    GRADIENT_BLOCK = 256  # samples per partial sum of a weight gradient
    PANEL = 48  # rows of a narrow weight gradient computed together: a multiple of 6, still in cache for the update
    WIDE_PANEL = 132  # the same for a wide one, whose products copy both factors: more tiles use each copy
    PACKED_ROWS = 258  # most rows of the left factor that are copied at once: a multiple of 6, 256 KB
    PACKED_COLUMNS = 256  # columns of a product for which copying both factors pays
    BAND = 36  # rows of pixels computed together: a multiple of 6
    WIDE_BAND = 256  # the same for a wide layer: a multiple of SAMPLE_BLOCK
    WIDE_BLOCKS = 4  # blocks of samples that one thread computes together in a wide first layer
    WIDE_STRIP = 64  # columns of a wide weight matrix that are copied together for products with pixels
    STRIP_ROWS = 32  # rows of pixels for which copying strips pays
    SPAN = 1024  # columns of a wide matrix that few rows take together: a page
    FEW_ROWS = 8  # most rows for which reading a wide matrix takes longer than multiplying it
    UPDATE_ROWS = 8  # rows of a weight gradient that one call of an update rule takes
    FEW = 32  # gradients of a batch: for so few, looking for zero pixels takes longer than multiplying them
    CHUNK = 64  # bytes of pixels tested for zeros at once
    MASK_WORDS = 4  # words of CHUNK bits for INPUT_BLOCK + CHUNK pixels, or for GRADIENT_BLOCK samples

# The weights of a wide layer should stay in the cache of the thread that updates them: reading a line that another core
# wrote is slow, and so is writing one that another core has read. Two threads take 54 ms per epoch at batch size 64
# with the split below, and 76 without. The rows of a weight matrix, and the inputs that they multiply, form two halves,
# and threads share the halves; more than two threads also split the samples of a half. A sum over the inputs is the sum
# over the first half, which starts from the bias, plus the sum over the second.

cdef inline Py_ssize_t first_half(Py_ssize_t n_in) noexcept nogil:
    # inputs in the first half: whole chunks, nearest to the middle; all inputs of a narrow layer
    return n_in if n_in < 2 * INPUT_BLOCK else (n_in // 2 + CHUNK // 2) // CHUNK * CHUNK


cdef inline Py_ssize_t next_block(Py_ssize_t left) noexcept nogil:
    # inputs in the next block: INPUT_BLOCK, or all if at most a chunk would remain after it
    return left if left <= INPUT_BLOCK + CHUNK else INPUT_BLOCK


cdef inline Py_ssize_t block_count(Py_ssize_t n) noexcept nogil:
    return (n + SAMPLE_BLOCK - 1) // SAMPLE_BLOCK


cdef inline Py_ssize_t panel_rows(Py_ssize_t n_in, Py_ssize_t n_out) noexcept nogil:
    # rows of a weight gradient (in, out) computed together; those of a wide one in an even number of equal panels
    cdef Py_ssize_t panels = 2 * (n_in // (2 * WIDE_PANEL) + 1)
    if n_out < PACKED_COLUMNS:
        return PANEL
    return (n_in + TILE_ROWS * panels - 1) // (TILE_ROWS * panels) * TILE_ROWS
