# The softmax of a row: eˣ by a polynomial, the maximum and the sum.

cdef inline float exponential(float x) noexcept nogil:
    # eˣ for x ≤ 0, within 2 units in the last place; below -87 (where e^x leaves the normal floats) e^-87.
    # x = n ln 2 + r with |r| ≤ ln 2 / 2: adding 1.5 · 2^23 rounds x / ln 2 to the integer n and leaves it in the low
    # bits; ln 2 is subtracted in two parts; Taylor's polynomial of degree 7 has error 2^-27 on that interval.
    x = -87 if x < -87 else x
    cdef float shifted = x * <float>1.44269504 + <float>12582912.0
    cdef float n = shifted - <float>12582912.0
    cdef float r = (x - n * <float>0.693359375) + n * <float>2.12194440e-4
    cdef float p = <float>(1.0 / 5040)
    p = p * r + <float>(1.0 / 720)
    p = p * r + <float>(1.0 / 120)
    p = p * r + <float>(1.0 / 24)
    p = p * r + <float>(1.0 / 6)
    p = p * r + <float>0.5
    p = p * r + <float>1.0
    p = p * r + <float>1.0
    return p * bits_to_float((float_to_bits(shifted) - float_to_bits(<float>12582912.0) + 127) << 23)


cdef float maximum(const float* x, Py_ssize_t d) noexcept nogil:
    cdef float largest = x[0]
    cdef Py_ssize_t j
    for j in range(1, d):
        largest = x[j] if x[j] > largest else largest
    return largest


cdef void softmax_block(
    float* probs, double* totals, float* largest, const float* logits, Py_ssize_t rows, Py_ssize_t d
) noexcept nogil:
    # probs (rows, d) = e^(logits - largest) / totals, with the maximum of each row, largest (rows,), and its sum,
    # totals (rows,); rows ≤ SAMPLE_BLOCK. The exponentials of all rows are one loop: a row has few.
    cdef Py_ssize_t i, j
    cdef float scale
    for i in range(rows):
        largest[i] = maximum(logits + i * d, d)
        for j in range(i * d, (i + 1) * d):
            probs[j] = logits[j] - largest[i]
    for j in range(rows * d):
        probs[j] = exponential(probs[j])
    for i in range(rows):
        totals[i] = 0
        for j in range(i * d, (i + 1) * d):
            totals[i] += probs[j]
        scale = <float>(1 / totals[i])
        for j in range(i * d, (i + 1) * d):
            probs[j] *= scale
