# SplitMix64, a counter-based generator: number i of a key is a function of both.

cdef inline uint64_t split_mix(uint64_t z) noexcept nogil:
    # the output function of SplitMix64 (Steele, Lea and Flood 2014, "Fast Splittable Pseudorandom Number Generators")
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    return z ^ (z >> 31)


cdef inline uint64_t split_mix_at(uint64_t key, Py_ssize_t i) noexcept nogil:
    # number i of the sequence of SplitMix64 that starts at key
    return split_mix(key + <uint64_t>(i + 1) * <uint64_t>0x9E3779B97F4A7C15)


cdef inline double uniform(uint64_t key, Py_ssize_t place) noexcept nogil:
    # uniform in -1 … 1, from 24 bits of output place + 1 of SplitMix64 started at key
    cdef uint64_t bits = split_mix_at(key, place) >> 40
    return <double>bits * (2.0 / 16777216) - 1
