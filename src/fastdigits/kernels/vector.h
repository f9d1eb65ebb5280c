/* What Cython cannot express: a vector of floats, as wide as the instruction set allows; full and partial loads and
 * stores; bit casts for exp; the processor's flush-to-zero mode. Loops over data are in the .pxi files.
 *
 * GCC and Clang compile plain `+` and `*` on `vec` to vector instructions (and fuse them where the target has FMA).
 * With other compilers a vector is one float: slower, same results up to rounding.
 */
#ifndef FASTDIGITS_VECTOR_H
#define FASTDIGITS_VECTOR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) || defined(__i386__) || defined(_M_X64)
#include <immintrin.h>
#define FD_X86 1
#endif

#if defined(__GNUC__)

#if defined(__AVX512F__)
#define LANES 16
#define FD_REPEAT(x) {x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}
#elif defined(__AVX2__)
#define LANES 8
#define FD_REPEAT(x) {x, x, x, x, x, x, x, x}
#else
#define LANES 4
#define FD_REPEAT(x) {x, x, x, x}
#endif

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef float vec_in_memory __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t ints __attribute__((vector_size(4 * LANES)));
typedef int32_t ints_in_memory __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

static inline vec splat(float x) { return (vec)FD_REPEAT(x); }
static inline vec load(const float *p) { return *(const vec_in_memory *)p; }
static inline void store(float *p, vec v) { *(vec_in_memory *)p = v; }

#else

#define LANES 1
typedef float vec;
static inline vec splat(float x) { return x; }
static inline vec load(const float *p) { return *p; }
static inline void store(float *p, vec v) { *p = v; }

#endif

/* c + x · y, rounded once if the processor can do that, whatever the compiler makes of `c + x * y`: all products must
 * round alike, as one function omits zero factors and another one does not. */
#if defined(__GNUC__) && defined(__AVX512F__)
static inline vec add_fused(vec c, vec x, vec y) { return (vec)_mm512_fmadd_ps((__m512)x, (__m512)y, (__m512)c); }
#elif defined(__GNUC__) && defined(__FMA__)
static inline vec add_fused(vec c, vec x, vec y) { return (vec)_mm256_fmadd_ps((__m256)x, (__m256)y, (__m256)c); }
#else
static inline vec add_fused(vec c, vec x, vec y) { return c + x * y; }
#endif

/* The same for twelve sums at once. With instructions of GCC's choice a sum changes its register now and then: those
 * copies, and the spills that they lead to, take 3 % of a large product. */
#if defined(__GNUC__) && defined(__FMA__) && !defined(__AVX512F__)
static inline vec add_product(vec c, vec x, vec y) {
    __asm__("vfmadd231ps {%2, %1, %0|%0, %1, %2}" : "+x"(c) : "x"(x), "x"(y));
    return c;
}
#else
static inline vec add_product(vec c, vec x, vec y) { return add_fused(c, x, y); }
#endif

/* Load or store the first `count` floats, 1 … LANES - 1; a load sets the other lanes to zero. */
#if defined(__AVX512F__)
static inline vec load_partial(const float *p, ptrdiff_t count) {
    return (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), p);
}
static inline void store_partial(float *p, vec v, ptrdiff_t count) {
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << count) - 1), (__m512)v);
}
#elif defined(__AVX2__)
static inline __m256i first_lanes(ptrdiff_t count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline vec load_partial(const float *p, ptrdiff_t count) {
    return (vec)_mm256_maskload_ps(p, first_lanes(count));
}
static inline void store_partial(float *p, vec v, ptrdiff_t count) {
    _mm256_maskstore_ps(p, first_lanes(count), (__m256)v);
}
#else
static inline vec load_partial(const float *p, ptrdiff_t count) {
    float lanes[LANES] = {0};
    for (ptrdiff_t i = 0; i < count; i++) lanes[i] = p[i];
    return load(lanes);
}
static inline void store_partial(float *p, vec v, ptrdiff_t count) {
    float lanes[LANES];
    store(lanes, v);
    for (ptrdiff_t i = 0; i < count; i++) p[i] = lanes[i];
}
#endif

#if defined(__AVX512F__)
static inline vec square_root(vec x) { return (vec)_mm512_sqrt_ps((__m512)x); }
#elif defined(__AVX2__)
static inline vec square_root(vec x) { return (vec)_mm256_sqrt_ps((__m256)x); }
#elif defined(__SSE2__)
static inline vec square_root(vec x) { return (vec)_mm_sqrt_ps((__m128)x); }
#elif LANES > 1
static inline vec square_root(vec x) {
    for (int i = 0; i < LANES; i++) x[i] = sqrtf(x[i]);
    return x;
}
#else
static inline vec square_root(vec x) { return sqrtf(x); }
#endif

/* y (LANES) = start + x in units of 1 / 65,536, at most 4,096 in each direction. */
static inline void store_fixed(int32_t *y, vec x, const int32_t *start) {
    const float limit = 4096.0f * 65536.0f;
#if defined(__AVX512F__)
    __m512 scaled = _mm512_mul_ps((__m512)x, _mm512_set1_ps(65536.0f));
    scaled = _mm512_min_ps(_mm512_max_ps(scaled, _mm512_set1_ps(-limit)), _mm512_set1_ps(limit));
    _mm512_storeu_si512(y, _mm512_add_epi32(_mm512_cvttps_epi32(scaled), _mm512_loadu_si512(start)));
#elif defined(__AVX2__)
    __m256 scaled = _mm256_mul_ps((__m256)x, _mm256_set1_ps(65536.0f));
    scaled = _mm256_min_ps(_mm256_max_ps(scaled, _mm256_set1_ps(-limit)), _mm256_set1_ps(limit));
    __m256i first = _mm256_loadu_si256((const __m256i *)start);
    _mm256_storeu_si256((__m256i *)y, _mm256_add_epi32(_mm256_cvttps_epi32(scaled), first));
#elif defined(__SSE2__) && defined(__GNUC__)
    __m128 scaled = _mm_mul_ps((__m128)x, _mm_set1_ps(65536.0f));
    scaled = _mm_min_ps(_mm_max_ps(scaled, _mm_set1_ps(-limit)), _mm_set1_ps(limit));
    __m128i first = _mm_loadu_si128((const __m128i *)start);
    _mm_storeu_si128((__m128i *)y, _mm_add_epi32(_mm_cvttps_epi32(scaled), first));
#else
    float lanes[LANES];
    store(lanes, x);
    for (int i = 0; i < LANES; i++) {
        float scaled = lanes[i] * 65536.0f;
        scaled = scaled > -limit ? scaled : -limit;
        y[i] = start[i] + (int32_t)(scaled < limit ? scaled : limit);
    }
#endif
}

/* y (16) = x (16), numbers from 0 to 255. GCC moves them one by one where it has no instruction for this. */
static inline void store_bytes(uint8_t *y, const int32_t *x) {
#if defined(__AVX512F__)
    _mm_storeu_si128((__m128i *)y, _mm512_cvtepi32_epi8(_mm512_loadu_si512(x)));
#elif defined(__SSE2__)
    const __m128i *p = (const __m128i *)x;
    __m128i low = _mm_packs_epi32(_mm_loadu_si128(p), _mm_loadu_si128(p + 1));
    __m128i high = _mm_packs_epi32(_mm_loadu_si128(p + 2), _mm_loadu_si128(p + 3));
    _mm_storeu_si128((__m128i *)y, _mm_packus_epi16(low, high));
#else
    for (int i = 0; i < 16; i++) y[i] = (uint8_t)x[i];
#endif
}

/* x where x > 0, else 0, also where x is NaN. */
#if defined(__AVX512F__)
static inline vec positive(vec x) { return (vec)_mm512_max_ps((__m512)x, (__m512)splat(0)); }
#elif defined(__AVX2__)
static inline vec positive(vec x) { return (vec)_mm256_max_ps((__m256)x, (__m256)splat(0)); }
#elif LANES > 1
static inline vec positive(vec x) { return (vec)((ints)x & (x > splat(0))); }
#else
static inline vec positive(vec x) { return x > 0 ? x : 0; }
#endif

/* Each lane: the products of the lower and of the upper 16 bits of x and y, all signed, added. */
#if LANES == 16
static inline ints dot_words(ints x, ints y) { return (ints)_mm512_madd_epi16((__m512i)x, (__m512i)y); }
#elif LANES == 8
static inline ints dot_words(ints x, ints y) { return (ints)_mm256_madd_epi16((__m256i)x, (__m256i)y); }
#elif defined(__SSE2__) && defined(__GNUC__)
static inline ints dot_words(ints x, ints y) { return (ints)_mm_madd_epi16((__m128i)x, (__m128i)y); }
#endif

/* y (16) = bilinear interpolation of four pixels each at columns u and rows v, in units of 1 / 65,536: bytes 0 and 2 of a
 * quad are the upper pixels, 1 and 3 those below them. Weights are multiples of 1 / 256: bits 8 to 15 of u and v. */
static inline void between_pixels(uint8_t *y, const uint32_t *quads, const int32_t *u, const int32_t *v) {
    int32_t mixed[16];
#if defined(__SSE2__) && defined(__GNUC__)
    const int32_t bytes = 0x00ff00ff, half = (int32_t)0x80008000; /* 32,768 in both words: words are signed */
    for (int i = 0; i < 16; i += LANES) {
        ints quad = *(const ints_in_memory *)(quads + i);
        ints right = *(const ints_in_memory *)(u + i) >> 8 & 255, down = *(const ints_in_memory *)(v + i) >> 8 & 255;
        ints columns = (right << 16) - right + 256, rows = (down << 16) - down + 256; /* 256 - weight, weight */
        ints upper = dot_words(quad & bytes, columns), lower = dot_words(quad >> 8 & bytes, columns);
        ints both = dot_words((upper | lower << 16) ^ half, rows);
        *(ints_in_memory *)(mixed + i) = (both + (32768 * 256 + 32768)) >> 16;
    }
#else
    for (int i = 0; i < 16; i++) {
        int32_t right = u[i] >> 8 & 255, down = v[i] >> 8 & 255, quad = (int32_t)quads[i];
        int32_t upper = (quad & 255) * (256 - right) + (quad >> 16 & 255) * right;
        int32_t lower = (quad >> 8 & 255) * (256 - right) + (quad >> 24 & 255) * right;
        mixed[i] = (upper * (256 - down) + lower * down + 32768) >> 16;
    }
#endif
    store_bytes(y, mixed);
}

/* Interpolate a line of ld floats, a multiple of 32, at columns u in units of 1 / 65,536 of a float, limited to 0 … last;
 * weights are multiples of 1 / 256. */
static inline vec between_columns(const float *line, ptrdiff_t ld, vec u, float last) {
    (void)ld;
    u = splat(last) - positive(splat(last) - positive(u));
#if LANES > 1
    ints part = __builtin_convertvector(u * splat(1.0f / 256), ints), index = part >> 8;
    vec right = __builtin_convertvector(part & 255, vec) * splat(1.0f / 256), left, next;
#if defined(__AVX512F__)
    if (ld == 32) {
        left = (vec)_mm512_permutex2var_ps((__m512)load(line), (__m512i)index, (__m512)load(line + 16));
        next = (vec)_mm512_permutex2var_ps((__m512)load(line), (__m512i)(index + 1), (__m512)load(line + 16));
    } else {
        left = (vec)_mm512_i32gather_ps((__m512i)index, line, 4);
        next = (vec)_mm512_i32gather_ps((__m512i)index, line + 1, 4);
    }
#elif defined(__AVX2__) /* gathers are no faster, and QEMU 7.2 emulates them wrong */
    int32_t at[LANES];
    __m128 pairs[4]; /* two floats from each of two columns */
    memcpy(at, &index, sizeof(at));
    for (int i = 0; i < 4; i++) {
        pairs[i] = _mm_loadl_pi(_mm_setzero_ps(), (const __m64 *)(line + at[2 * i]));
        pairs[i] = _mm_loadh_pi(pairs[i], (const __m64 *)(line + at[2 * i + 1]));
    }
    __m256 even = _mm256_set_m128(pairs[2], pairs[0]), odd = _mm256_set_m128(pairs[3], pairs[1]);
    left = (vec)_mm256_shuffle_ps(even, odd, _MM_SHUFFLE(2, 0, 2, 0));
    next = (vec)_mm256_shuffle_ps(even, odd, _MM_SHUFFLE(3, 1, 3, 1));
#else
    for (int i = 0; i < LANES; i++) left[i] = line[index[i]], next[i] = line[index[i] + 1];
#endif
    return (splat(1) - right) * left + right * next;
#else
    int part = (int)(u * (1.0f / 256));
    float right = (float)(part & 255) * (1.0f / 256);
    return (1 - right) * line[part >> 8] + right * line[(part >> 8) + 1];
#endif
}

/* Keeps GCC from gathering scattered numbers into vectors, which takes twice the time of moving them one by one. */
#if defined(__GNUC__)
#define FD_ONE_BY_ONE __asm__ volatile("")
#else
#define FD_ONE_BY_ONE (void)0
#endif

/* values[i] = the four bytes at pairs + values[i], for n indices, a multiple of 4. A loop over single ones is a third slower
 * if its instructions cross a cache line. */
static inline void load_quads(uint32_t *values, ptrdiff_t n, const uint16_t *pairs) {
    for (ptrdiff_t i = 0; i < n; i += 4) {
        memcpy(values + i, pairs + values[i], 4);
        FD_ONE_BY_ONE;
        memcpy(values + i + 1, pairs + values[i + 1], 4);
        FD_ONE_BY_ONE;
        memcpy(values + i + 2, pairs + values[i + 2], 4);
        FD_ONE_BY_ONE;
        memcpy(values + i + 3, pairs + values[i + 3], 4);
        FD_ONE_BY_ONE;
    }
}

/* Prefetch the cache line at p, which may be any address, into the second-level cache. Without the empty statement GCC
 * removes calls of functions that only prefetch. */
#if defined(__GNUC__)
static inline void prefetch(const void *p) {
    __builtin_prefetch(p, 0, 2);
    __asm__ volatile("");
}
#else
static inline void prefetch(const void *p) { (void)p; }
#endif

/* nonzero_bytes: bit i is 1 if byte i of the 64 at p is not zero. lowest_bit: index of the lowest 1. count_bits: number
 * of ones. */
static inline uint64_t nonzero_bytes(const uint8_t *p) {
#if defined(__AVX512BW__)
    return _mm512_test_epi8_mask(_mm512_loadu_si512(p), _mm512_set1_epi8(-1));
#elif defined(__AVX2__)
    __m256i zero = _mm256_setzero_si256();
    uint32_t low = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_loadu_si256((const __m256i *)p), zero));
    uint32_t high = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_loadu_si256((const __m256i *)p + 1), zero));
    return ~((uint64_t)high << 32 | low);
#elif defined(__SSE2__)
    uint64_t zeros = 0;
    for (int i = 0; i < 4; i++)
        zeros |=
            (uint64_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)p + i), _mm_setzero_si128()))
            << 16 * i;
    return ~zeros;
#else
    uint64_t bits = 0;
    for (int i = 0; i < 64; i++) bits |= (uint64_t)(p[i] != 0) << i;
    return bits;
#endif
}

#if defined(__GNUC__)
static inline int lowest_bit(uint64_t bits) { return __builtin_ctzll(bits); }
static inline int count_bits(uint64_t bits) { return __builtin_popcountll(bits); }
#else
static inline int lowest_bit(uint64_t bits) {
    int i = 0;
    while (!(bits >> i & 1)) i++;
    return i;
}
static inline int count_bits(uint64_t bits) {
    int n = 0;
    for (; bits; bits &= bits - 1) n++;
    return n;
}
#endif

/* y (4, 4) = the transpose of x (4, 4). */
static inline void transpose_4x4(float *y, ptrdiff_t ldy, const float *x, ptrdiff_t ldx) {
#if defined(__SSE2__)
    __m128 a = _mm_loadu_ps(x), b = _mm_loadu_ps(x + ldx), c = _mm_loadu_ps(x + 2 * ldx), d = _mm_loadu_ps(x + 3 * ldx);
    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_storeu_ps(y, a);
    _mm_storeu_ps(y + ldy, b);
    _mm_storeu_ps(y + 2 * ldy, c);
    _mm_storeu_ps(y + 3 * ldy, d);
#else
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) y[i * ldy + j] = x[j * ldx + i];
#endif
}

/* y (8, 8) = the transpose of x (8, 8). */
static inline void transpose_8x8(float *y, ptrdiff_t ldy, const float *x, ptrdiff_t ldx) {
#if defined(__AVX2__)
    __m256 a[8], b[8];
    for (int i = 0; i < 4; i++) { /* a[i]: columns 0 to 3 of the rows i and i + 4; a[i + 4]: columns 4 to 7 */
        const float *top = x + i * ldx, *bottom = x + (i + 4) * ldx;
        a[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(top)), _mm_loadu_ps(bottom), 1);
        a[i + 4] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(top + 4)), _mm_loadu_ps(bottom + 4), 1);
    }
    for (int i = 0; i < 8; i += 4) {
        b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
        b[i + 2] = _mm256_unpacklo_ps(a[i + 2], a[i + 3]);
        b[i + 3] = _mm256_unpackhi_ps(a[i + 2], a[i + 3]);
        _mm256_storeu_ps(y + i * ldy, _mm256_shuffle_ps(b[i], b[i + 2], 0x44));
        _mm256_storeu_ps(y + (i + 1) * ldy, _mm256_shuffle_ps(b[i], b[i + 2], 0xee));
        _mm256_storeu_ps(y + (i + 2) * ldy, _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44));
        _mm256_storeu_ps(y + (i + 3) * ldy, _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xee));
    }
#else
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 8; j += 4) transpose_4x4(y + i * ldy + j, ldy, x + j * ldx + i, ldx);
#endif
}

/* y (16, 32) = bytes p to p + 16 of the rows x (32), transposed. Each of four rounds interleaves rows i and i + 8 of the
 * 16 in either half of the vectors. */
static inline void transpose_32x16(uint8_t *y, ptrdiff_t ldy, const uint8_t *const *x, ptrdiff_t p) {
#if defined(__AVX2__)
    __m256i a[16], b[16];
    for (int i = 0; i < 16; i++)
        a[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(x[i] + p))),
                                       _mm_loadu_si128((const __m128i *)(x[i + 16] + p)), 1);
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 8; i++) {
            b[2 * i] = _mm256_unpacklo_epi8(a[i], a[i + 8]);
            b[2 * i + 1] = _mm256_unpackhi_epi8(a[i], a[i + 8]);
        }
        memcpy(a, b, sizeof(a));
    }
    for (int i = 0; i < 16; i++) _mm256_storeu_si256((__m256i *)(y + i * ldy), a[i]);
#elif defined(__SSE2__)
    __m128i a[16], b[16];
    for (int half = 0; half < 32; half += 16) {
        for (int i = 0; i < 16; i++) a[i] = _mm_loadu_si128((const __m128i *)(x[half + i] + p));
        for (int round = 0; round < 4; round++) {
            for (int i = 0; i < 8; i++) {
                b[2 * i] = _mm_unpacklo_epi8(a[i], a[i + 8]);
                b[2 * i + 1] = _mm_unpackhi_epi8(a[i], a[i + 8]);
            }
            memcpy(a, b, sizeof(a));
        }
        for (int i = 0; i < 16; i++) _mm_storeu_si128((__m128i *)(y + i * ldy + half), a[i]);
    }
#else
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 32; j++) y[i * ldy + j] = x[j][p + i];
#endif
}

static inline int32_t float_to_bits(float x) {
    int32_t i;
    memcpy(&i, &x, 4);
    return i;
}
static inline int64_t double_to_bits(double x) {
    int64_t i;
    memcpy(&i, &x, 8);
    return i;
}
static inline float bits_to_float(int32_t i) {
    float x;
    memcpy(&x, &i, 4);
    return x;
}

/* Denormal numbers cost a hundred cycles each, and Adam's moments decay to them. `float_mode_enter` sets the calling
 * thread to treat them as zero and returns its old state; `float_mode_leave` restores that. Rounding and traps get the
 * defaults of a new process: all threads must round alike, and an unused lane may raise an exception. */
#if defined(FD_X86)
static inline uint64_t float_mode_enter(void) {
    unsigned int old = _mm_getcsr();
    _mm_setcsr(0x9FC0u); /* no traps (bits 7 to 12), flush to zero (bit 15), denormals are zero (bit 6) */
    return old;
}
static inline void float_mode_leave(uint64_t old) { _mm_setcsr((unsigned int)old); }
#elif defined(__aarch64__) && defined(__GNUC__)
static inline uint64_t float_mode_enter(void) {
    uint64_t old;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old) : : "memory");
    __asm__ volatile("msr fpcr, %0" : : "r"(1ull << 24) : "memory");
    return old;
}
static inline void float_mode_leave(uint64_t old) { __asm__ volatile("msr fpcr, %0" : : "r"(old) : "memory"); }
#else
static inline uint64_t float_mode_enter(void) { return 0; }
static inline void float_mode_leave(uint64_t old) { (void)old; }
#endif

#if defined(__clang__)
#define COMPILED_BY "Clang " __VERSION__
#elif defined(__GNUC__)
#define COMPILED_BY "GCC " __VERSION__
#else
#define COMPILED_BY "another compiler"
#endif

#if defined(_MSC_VER)
static __declspec(thread) void *recording;
static __declspec(thread) ptrdiff_t first_owned;
#else
static __thread void *recording;
static __thread ptrdiff_t first_owned;
#endif

#endif
