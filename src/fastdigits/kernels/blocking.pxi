# Sizes of the blocks in which kernels work, and how numbers fall into blocks and halves.

cdef enum:
    CACHE_LINE = 16  # floats in a cache line
    SAMPLE_BLOCK = 16  # samples that stay together, whatever the number of threads: sums over a batch are sums over blocks
    WORK_PER_THREAD = 16384  # multiply-adds of a stage that pay for another thread that is awake …
    MAX_BINDINGS = 8  # of a bound array by the ops of a program, and one more
    CHOICE_SLOTS = 16  # amounts of work for which programs remember whether to share it
    WORK_PER_WAKEUP = 1 << 22  # … and of a whole call, for one that may be asleep: about 0.1 ms against 50 µs

cdef enum:
    TILE_ROWS = 6  # of a tile; with two vectors across, its 12 sums, 2 factors and 1 broadcast fit into 16 registers
    TILE_COLS = 2 * LANES
    INPUT_BLOCK = 192  # inputs whose products are summed up by themselves: three chunks of pixels, a panel in cache
    GRADIENT_BLOCK = 256  # samples whose products are summed up by themselves in a weight gradient
    PANEL = 48  # rows of a weight gradient that are worked on at a time: a multiple of 6, still in cache for the update
    BAND = 36  # rows of pixels that are worked on at a time: a multiple of 6 as well
    CHUNK = 64  # bytes of pixels that are tested for zeros at once
    MASK_WORDS = 4  # of CHUNK bits: a block of DEPTH + CHUNK pixels, or BATCH samples

# A wide layer's weights should stay with the thread that changes them: what another core has written comes to this one
# late, and what another core has read is late to be written: two threads took 76 ms per epoch at batch 64 where they now
# take 54. So the rows of a weight matrix, and the inputs they belong to, fall into two halves, and threads share the
# halves (each half's samples too, where there are more than two threads). A weighted sum over the inputs is the sum of
# the first half, which starts from the bias, plus that of the second.

cdef inline Py_ssize_t first_half(Py_ssize_t n_in) noexcept nogil:
    # how many inputs make the first half: whole chunks, nearest to the middle; all where there are few
    return n_in if n_in < 2 * INPUT_BLOCK else (n_in // 2 + CHUNK // 2) // CHUNK * CHUNK


cdef inline Py_ssize_t next_block(Py_ssize_t left) noexcept nogil:
    # how many of so many inputs make the next block: DEPTH, or all where no more than a chunk would be left behind it
    return left if left <= INPUT_BLOCK + CHUNK else INPUT_BLOCK


cdef inline Py_ssize_t block_count(Py_ssize_t n) noexcept nogil:
    return (n + SAMPLE_BLOCK - 1) // SAMPLE_BLOCK
