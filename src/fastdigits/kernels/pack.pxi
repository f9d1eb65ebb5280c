# Read numbers once: their range, and pack them as pixels, a byte each, in rows where no number changes.

cdef enum:
    PACK_BLOCK = 1024  # numbers of 8 bytes, and the same of 4, that fit into the first-level cache
    TWO_23_BITS = 0x4B000000  # the bits of 2²³ as a float; adding 1 to them adds 1 to the float

cdef float TWO_23 = <float>8388608.0

ctypedef fused unsigned_int:
    uint16_t
    uint32_t
    uint64_t


cdef int32_t pack_numbers(uint8_t* y, const float* x, Py_ssize_t n, float white) noexcept nogil:
    # y (n,) = white · x (n,); returns 0 if each x equals y / white. Bits are compared, apart from the sign, as tiny
    # numbers are not zero, although the processor treats them so.
    cdef int32_t wrong = 0, whole
    cdef float shifted
    cdef Py_ssize_t j
    for j in range(n):
        shifted = x[j] * white + TWO_23  # rounds to a whole number, in the lowest bits
        whole = float_to_bits(shifted) ^ TWO_23_BITS
        y[j] = <uint8_t>whole
        wrong |= (whole & ~255) | ((float_to_bits((shifted - TWO_23) / white) ^ float_to_bits(x[j])) & 0x7FFFFFFF)
    return wrong


cdef inline void finish_row(uint8_t* fits, uint8_t* y, Py_ssize_t d, bint wrong) noexcept nogil:
    fits[0] = not wrong
    if wrong:
        memset(y, 0, d)


cdef void pack_float32_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # y (n, d) = white · x (n, d), fits (n,) = 1; or both 0 for a row in which x is not y / white; split over rows
    cdef uint8_t* y = <uint8_t*>op.a[0]
    cdef uint8_t* fits = <uint8_t*>op.a[1]
    cdef const float* x = op.a[2]
    cdef Py_ssize_t d = op.n[1], i
    for i in range(begin, end):
        finish_row(fits + i, y + i * d, d, pack_numbers(y + i * d, x + i * d, d, op.s[0]) != 0)


cdef int64_t round_numbers(float* y, const double* x, Py_ssize_t n) noexcept nogil:
    # y (n,) = x (n,); returns a negative number if the size of some x is between 2⁻¹⁵⁰ and 2⁻¹²⁶: this is not zero in
    # float, but the processor rounds it to zero here
    cdef int64_t lost = 0, size
    cdef Py_ssize_t j
    for j in range(n):
        y[j] = <float>x[j]
        size = double_to_bits(fabs(x[j]))
        lost |= ~((size - (<int64_t>873 << 52) - 1) | ((<int64_t>897 << 52) - 1 - size))
    return lost


cdef void pack_float64_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # pack_float32_loop for x (n, d) in double precision, which is rounded to float first
    cdef uint8_t* y = <uint8_t*>op.a[0]
    cdef uint8_t* fits = <uint8_t*>op.a[1]
    cdef const double* x = <const double*>op.a[2]
    cdef float rounded[PACK_BLOCK]
    cdef Py_ssize_t d = op.n[1], i, j, count
    cdef bint wrong
    for i in range(begin, end):
        wrong = False
        j = 0
        while j < d:
            count = min(d - j, <Py_ssize_t>PACK_BLOCK)
            wrong |= round_numbers(rounded, x + i * d + j, count) < 0
            wrong |= pack_numbers(y + i * d + j, rounded, count, op.s[0]) != 0
            j += count
        finish_row(fits + i, y + i * d, d, wrong)


cdef bint pack_whole(uint8_t* y, const uint8_t* x, Py_ssize_t n, int shift, unsigned_int rest) noexcept nogil:
    # y (n,) = the bits shift to shift + 8 of x (n,), integers of the type of rest at any address; returns whether other
    # bits are set. rest is 0
    cdef unsigned_int others = ~(<unsigned_int>255 << shift), number
    cdef Py_ssize_t j
    for j in range(n):
        memcpy(&number, x + j * sizeof(number), sizeof(number))
        y[j] = <uint8_t>(number >> shift)
        rest |= number & others
    return rest != 0


cdef void pack_integers_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # y (n, d) = the bits shift to shift + 8 of x (n, d), integers of size bytes, fits (n,) = 1; or both 0 for a row in
    # which other bits are set; split over rows
    cdef uint8_t* y = <uint8_t*>op.a[0]
    cdef uint8_t* fits = <uint8_t*>op.a[1]
    cdef const uint8_t* x = <const uint8_t*>op.a[2]
    cdef Py_ssize_t d = op.n[1], size = op.n[2], i
    cdef int shift = <int>op.s[0]
    cdef bint wrong
    for i in range(begin, end):
        if size == 2:
            wrong = pack_whole(y + i * d, x + i * d * size, d, shift, <uint16_t>0)
        elif size == 4:
            wrong = pack_whole(y + i * d, x + i * d * size, d, shift, <uint32_t>0)
        else:
            wrong = pack_whole(y + i * d, x + i * d * size, d, shift, <uint64_t>0)
        finish_row(fits + i, y + i * d, d, wrong)


cdef int submit_pack(
    str door, Loop loop, unsigned char[:, ::1] y, unsigned char[::1] fits, const void* x, Py_ssize_t n, Py_ssize_t d,
    Py_ssize_t size, float scalar, tuple arrays,
) except -1:
    cdef Op op
    expect2(door, "y", y.shape[0], y.shape[1], n, d)
    expect(door, "fits", fits.shape[0], n)
    init_op(&op, loop, SAMPLES, n, 8 * n * d, 3, 2, 0)
    op.a[0], op.a[1], op.a[2] = <float*>&y[0, 0], <float*>&fits[0], <float*>x
    op.n[0], op.n[1], op.n[2] = n, d, size
    op.s[0] = scalar
    submit(&op, arrays)
    return 0


def pack_float32(unsigned char[:, ::1] y, unsigned char[::1] fits, const float[:, ::1] x, float white):
    submit_pack("pack_float32", pack_float32_loop, y, fits, &x[0, 0], x.shape[0], x.shape[1], 4, white,
                (y, fits, x) if recording != NULL else None)


def pack_float64(unsigned char[:, ::1] y, unsigned char[::1] fits, const double[:, ::1] x, float white):
    submit_pack("pack_float64", pack_float64_loop, y, fits, &x[0, 0], x.shape[0], x.shape[1], 8, white,
                (y, fits, x) if recording != NULL else None)


def pack_integers(
    unsigned char[:, ::1] y, unsigned char[::1] fits, const unsigned char[:, ::1] x, Py_ssize_t size, int shift
):
    if size not in (2, 4, 8) or shift not in (0, 8 * size - 8):
        raise ValueError(f"pack_integers: size must be 2, 4 or 8, shift 0 or 8 · size - 8; got {size}, {shift}")
    expect2("pack_integers", "x", x.shape[0], x.shape[1], x.shape[0], y.shape[1] * size)
    submit_pack("pack_integers", pack_integers_loop, y, fits, &x[0, 0], x.shape[0], y.shape[1], size, shift,
                (y, fits, x) if recording != NULL else None)


cdef inline int32_t in_order_of_integers(int32_t bits) noexcept nogil:
    # the bits of a float as an integer of the same order, and back; NaN is beyond the infinities
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


cdef void row_ranges_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # low, high (n,) = the smallest and the largest of each row of x (n, d), both NaN if one is; split over rows
    cdef const float* x
    cdef Py_ssize_t d = op.n[1], i, j
    cdef int32_t least, most, bits
    for i in range(begin, end):
        x = op.a[2] + i * d
        least = most = in_order_of_integers(float_to_bits(x[0]))
        for j in range(d):
            bits = in_order_of_integers(float_to_bits(x[j]))
            least = min(least, bits)
            most = max(most, bits)
        op.a[0][i], op.a[1][i] = bits_to_float(in_order_of_integers(least)), bits_to_float(in_order_of_integers(most))
        if not (op.a[0][i] <= op.a[1][i]):
            op.a[0][i] = op.a[1][i] = op.a[0][i] + op.a[1][i]


def row_ranges(float[::1] low, float[::1] high, const float[:, ::1] x):
    cdef Op op
    cdef Py_ssize_t n = x.shape[0], d = x.shape[1]
    expect("row_ranges", "low", low.shape[0], n)
    expect("row_ranges", "high", high.shape[0], n)
    if d == 0:
        raise ValueError("row_ranges: x must be (n, d), with d at least 1; got no columns")
    init_op(&op, row_ranges_loop, SAMPLES, n, 8 * n * d, 3, 2, 0)
    op.a[0], op.a[1], op.a[2] = &low[0], &high[0], <float*>&x[0, 0]
    op.n[0], op.n[1] = n, d
    submit(&op, (low, high, x) if recording != NULL else None)
