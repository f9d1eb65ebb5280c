# Sizes of the blocks in which kernels work, and how numbers fall into blocks and halves.

cdef enum:
    LINE = 16  # floats in a cache line
    BLOCK = 16  # samples that stay together, whatever the number of threads: sums over a batch are sums over blocks
    PART = 16384  # multiply-adds of a stage that pay for another thread that is awake …
    USES = 8  # of a bound array by the ops of a program, and one more
    HABITS = 16  # amounts of work for which programs remember whether to share it
    WAKING = 1 << 22  # … and of a whole call, for one that may be asleep: about 0.1 ms against 50 µs

cdef enum:
    ROWS = 6  # of a tile; with two vectors across, its 12 sums, 2 factors and 1 broadcast fit into 16 registers
    COLS = 2 * LANES
    DEPTH = 192  # inputs whose products are summed up by themselves: three chunks of pixels, a panel in cache
    BATCH = 256  # samples whose products are summed up by themselves in a weight gradient
    PANEL = 48  # rows of a weight gradient that are worked on at a time: a multiple of 6, still in cache for the update
    BAND = 36  # rows of pixels that are worked on at a time: a multiple of 6 as well
    CHUNK = 64  # bytes of pixels that are tested for zeros at once
    WORDS = 4  # of CHUNK bits: a block of DEPTH + CHUNK pixels, or BATCH samples

# A wide layer's weights should stay with the thread that changes them: what another core has written comes to this one
# late, and what another core has read is late to be written: two threads took 76 ms per epoch at batch 64 where they now
# take 54. So the rows of a weight matrix, and the inputs they belong to, fall into two halves, and threads share the
# halves (each half's samples too, where there are more than two threads). A weighted sum over the inputs is the sum of
# the first half, which starts from the bias, plus that of the second.

cdef inline Py_ssize_t half_of(Py_ssize_t n_in) noexcept nogil:
    # how many inputs make the first half: whole chunks, nearest to the middle; all where there are few
    return n_in if n_in < 2 * DEPTH else (n_in // 2 + CHUNK // 2) // CHUNK * CHUNK


cdef inline Py_ssize_t block_width(Py_ssize_t left) noexcept nogil:
    # how many of so many inputs make the next block: DEPTH, or all where no more than a chunk would be left behind it
    return left if left <= DEPTH + CHUNK else DEPTH


cdef inline Py_ssize_t blocks_of(Py_ssize_t n) noexcept nogil:
    return (n + BLOCK - 1) // BLOCK
