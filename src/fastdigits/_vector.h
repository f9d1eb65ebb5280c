/* What Cython cannot say: a vector of floats as wide as the instruction set allows, loads and stores that may
 * be partial, bit casts for exp, and the processor's flush-to-zero switch. No loops over data live here.
 *
 * GCC and Clang compile plain `+` and `*` on `vec` to vector instructions (and fuse them where the target has FMA).
 * Other compilers get vectors of one float: slower, same results up to rounding.
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

/* The first `count` (1 … LANES - 1) floats only; the other lanes are zero, and memory behind them is not touched. */
#if defined(__AVX512F__)
static inline vec load_some(const float *p, ptrdiff_t count) {
    return (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), p);
}
static inline void store_some(float *p, vec v, ptrdiff_t count) {
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << count) - 1), (__m512)v);
}
#elif defined(__AVX2__)
static inline __m256i fd_mask(ptrdiff_t count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline vec load_some(const float *p, ptrdiff_t count) { return (vec)_mm256_maskload_ps(p, fd_mask(count)); }
static inline void store_some(float *p, vec v, ptrdiff_t count) { _mm256_maskstore_ps(p, fd_mask(count), (__m256)v); }
#else
static inline vec load_some(const float *p, ptrdiff_t count) {
    float lanes[LANES] = {0};
    for (ptrdiff_t i = 0; i < count; i++) lanes[i] = p[i];
    return load(lanes);
}
static inline void store_some(float *p, vec v, ptrdiff_t count) {
    float lanes[LANES];
    store(lanes, v);
    for (ptrdiff_t i = 0; i < count; i++) p[i] = lanes[i];
}
#endif

static inline int32_t bits_of(float x) { int32_t i; memcpy(&i, &x, 4); return i; }
static inline float float_of(int32_t i) { float x; memcpy(&x, &i, 4); return x; }

/* Denormal numbers cost a hundred cycles each; Adam's moments decay into them. `float_mode_enter` makes the calling
 * thread treat them as zero and returns the old state, `float_mode_leave` puts that back. */
#if defined(FD_X86)
static inline uint64_t float_mode_enter(void) {
    unsigned int old = _mm_getcsr();
    _mm_setcsr(old | 0x8040u); /* flush to zero (bit 15), denormals are zero (bit 6) */
    return old;
}
static inline void float_mode_leave(uint64_t old) { _mm_setcsr((unsigned int)old); }
#elif defined(__aarch64__) && defined(__GNUC__)
static inline uint64_t float_mode_enter(void) {
    uint64_t old;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    __asm__ volatile("msr fpcr, %0" : : "r"(old | (1ull << 24)));
    return old;
}
static inline void float_mode_leave(uint64_t old) { __asm__ volatile("msr fpcr, %0" : : "r"(old)); }
#else
static inline uint64_t float_mode_enter(void) { return 0; }
static inline void float_mode_leave(uint64_t old) { (void)old; }
#endif

#endif
