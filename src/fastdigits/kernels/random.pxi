# SplitMix64 as a counter-based generator: number i is a function of the key and i.

cdef inline uint64_t golden(Py_ssize_t i) noexcept nogil:
    # what i steps add to the state
    return <uint64_t>i * <uint64_t>0x9E3779B97F4A7C15


cdef inline uint64_t split_mix(uint64_t z) noexcept nogil:
    # the output function of SplitMix64 (Steele, Lea and Flood 2014, "Fast Splittable Pseudorandom Number Generators")
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    return z ^ (z >> 31)


cdef inline uint64_t split_mix_at(uint64_t key, Py_ssize_t i) noexcept nogil:
    # number i, from 0, of the sequence that starts at key
    return split_mix(key + golden(i + 1))


cdef inline double uniform(uint64_t key, Py_ssize_t i) noexcept nogil:
    # number i of the key, uniform in -1 … 1, from 24 bits
    cdef uint64_t bits = split_mix_at(key, i) >> 40
    return <double>bits * (2.0 / 16777216) - 1


cdef inline double fraction(uint64_t key, Py_ssize_t i) noexcept nogil:
    # the same number, uniform in 0 … 1 without 1
    return 0.5 * uniform(key, i) + 0.5
