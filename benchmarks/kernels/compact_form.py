"""Compare compact forms of the nonzero pixels, made once for all images, in the first layer's two large passes.

    python benchmarks/kernels/compact_form.py        # needs a C compiler

Training finds the nonzero pixels of an image in each step. This program compiles a loop in four forms: find the nonzero
pixels in each step; read them from a bit per pixel; from a list of indices; from lists of indices and values. Each
multiplies batches of 64 training images in a random order by 784 by 64 weights, and prefetches the next batch, as
training does. The weight gradient goes pixel by pixel, so it needs the images of a batch transposed. The last two rows
transpose the images and find the nonzero pixels, or transpose the stored bits and read the values in place. The columns
are microseconds per batch (medians of rounds in turn), the time to make the form, and its memory.
"""

import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import numpy as np

import fastdigits as fd

SOURCE = r"""
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { N = 60000, D = 784, WORDS = 13, OUT = 64, BATCH = 64, LANES = 8, SUMS = OUT / LANES, ROUNDS = 15, FORMS = 6 };
typedef float vec __attribute__((vector_size(4 * LANES), aligned(4)));
typedef uint8_t row16 __attribute__((vector_size(16), aligned(1)));
#define LOW(a, b) __builtin_shuffle(a, b, (row16){0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23})
#define HIGH(a, b) __builtin_shuffle(a, b, (row16){8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31})

static uint8_t x[N * D + 64], *values;
static uint64_t (*bits)[WORDS];
static uint16_t *places;
static uint32_t starts[N + 1];
static int32_t order[N];
static float w[D * OUT], unit[256], y[BATCH * OUT], dw[D * OUT];

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec * 1e-3;
}

#if defined(__AVX512BW__)
#include <immintrin.h>
static inline uint64_t nonzero(const uint8_t *p) {
    return _mm512_test_epi8_mask(_mm512_loadu_si512(p), _mm512_set1_epi8(-1));
}
#elif defined(__AVX2__)
#include <immintrin.h>
static inline uint64_t nonzero(const uint8_t *p) {
    __m256i zero = _mm256_setzero_si256();
    uint32_t low = _mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_loadu_si256((const __m256i *)p), zero));
    uint32_t high = _mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_loadu_si256((const __m256i *)(p + 32)), zero));
    return ~((uint64_t)high << 32 | low);
}
#else
static inline uint64_t nonzero(const uint8_t *p) {
    uint64_t found = 0;
    for (int i = 0; i < 64; i++) found |= (uint64_t)(p[i] != 0) << i;
    return found;
}
#endif

static inline uint64_t word(const uint8_t *image, int k) {
    uint64_t all = nonzero(image + 64 * k);
    return k < WORDS - 1 ? all : all & (((uint64_t)1 << (D - 64 * (WORDS - 1))) - 1);
}

#define ZERO vec c[SUMS] = {{0}}
#define ADD(place, value) do { \
        const float *row = w + (place) * OUT, v = unit[value]; \
        _Pragma("GCC unroll 8") for (int j = 0; j < SUMS; j++) c[j] += v * *(const vec *)(row + j * LANES); \
    } while (0)
#define STORE(i) memcpy(y + (i) * OUT, c, sizeof(c))

static void found(const int32_t *rows) {
    for (int i = 0; i < BATCH; i++) {
        const uint8_t *image = x + rows[i] * D;
        ZERO;
        for (int k = 0; k < WORDS; k++)
            for (uint64_t b = word(image, k); b; b &= b - 1) {
                int place = 64 * k + __builtin_ctzll(b);
                ADD(place, image[place]);
            }
        STORE(i);
    }
}

static void made_bits(const int32_t *rows) {
    for (int i = 0; i < BATCH; i++) {
        const uint8_t *image = x + rows[i] * D;
        ZERO;
        for (int k = 0; k < WORDS; k++)
            for (uint64_t b = bits[rows[i]][k]; b; b &= b - 1) {
                int place = 64 * k + __builtin_ctzll(b);
                ADD(place, image[place]);
            }
        STORE(i);
    }
}

static void made_places(const int32_t *rows) {
    for (int i = 0; i < BATCH; i++) {
        const uint8_t *image = x + rows[i] * D;
        ZERO;
        for (uint32_t k = starts[rows[i]]; k < starts[rows[i] + 1]; k++) ADD(places[k], image[places[k]]);
        STORE(i);
    }
}

static void made_both(const int32_t *rows) {
    for (int i = 0; i < BATCH; i++) {
        ZERO;
        for (uint32_t k = starts[rows[i]]; k < starts[rows[i] + 1]; k++) ADD(places[k], values[k]);
        STORE(i);
    }
}

static void transpose_bytes(uint8_t (*to)[BATCH], const int32_t *rows, int p) {
    for (int s = 0; s < BATCH; s += 16)
        for (int q = 0; q < 64; q += 16) {
            row16 a[16], b[16];
            for (int i = 0; i < 16; i++) a[i] = *(const row16 *)(x + rows[s + i] * D + p + q);
            for (int round = 0; round < 4; round++) {
                for (int i = 0; i < 8; i++) {
                    b[2 * i] = LOW(a[i], a[i + 8]);
                    b[2 * i + 1] = HIGH(a[i], a[i + 8]);
                }
                memcpy(a, b, sizeof(a));
            }
            for (int i = 0; i < 16; i++) *(row16 *)(to[q + i] + s) = a[i];
        }
}

static void transpose_bits(uint64_t *a) { /* 64 by 64: swap the off-diagonal quarters, then theirs, … */
    uint64_t mask = 0xFFFFFFFF;
    for (int j = 32; j; j >>= 1, mask ^= mask << j)
        for (int base = 0; base < 64; base += 2 * j)
            for (int k = base; k < base + j; k++) {
                uint64_t t = ((a[k] >> j) ^ a[k + j]) & mask;
                a[k] ^= t << j;
                a[k + j] ^= t;
            }
}

#define ADD_DY(sample, value) do { \
        const float *row = y + (sample) * OUT, v = unit[value]; \
        _Pragma("GCC unroll 8") for (int j = 0; j < SUMS; j++) c[j] += v * *(const vec *)(row + j * LANES); \
    } while (0)

static void gradient_found(const int32_t *rows) {
    static uint8_t transposed[64][BATCH];
    for (int p = 0; p < D; p += 64) {
        transpose_bytes(transposed, rows, p);
        for (int i = 0; i < 64 && p + i < D; i++) {
            ZERO;
            for (uint64_t b = nonzero(transposed[i]); b; b &= b - 1) {
                int sample = __builtin_ctzll(b);
                ADD_DY(sample, transposed[i][sample]);
            }
            memcpy(dw + (p + i) * OUT, c, sizeof(c));
        }
    }
}

static void gradient_bits(const int32_t *rows) {
    const uint8_t *images[BATCH];
    uint64_t transposed[64];
    for (int s = 0; s < BATCH; s++) images[s] = x + rows[s] * D;
    for (int p = 0; p < D; p += 64) {
        for (int s = 0; s < BATCH; s++) transposed[s] = bits[rows[s]][p / 64];
        transpose_bits(transposed);
        for (int i = 0; i < 64 && p + i < D; i++) {
            ZERO;
            for (uint64_t b = transposed[i]; b; b &= b - 1) {
                int sample = __builtin_ctzll(b);
                ADD_DY(sample, images[sample][p + i]);
            }
            memcpy(dw + (p + i) * OUT, c, sizeof(c));
        }
    }
}

static void prefetch(const void *from, size_t size) {
    for (const char *p = (const char *)((uintptr_t)from & ~(uintptr_t)63); p < (const char *)from + size; p += 64)
        __builtin_prefetch(p);
}

static void prefetch_batch(const int32_t *rows, int form) {
    for (int i = 0; i < BATCH; i++) {
        uint32_t first = starts[rows[i]], count = starts[rows[i] + 1] - first;
        if (form != 3) prefetch(x + rows[i] * D, D);
        if (form == 1 || form == 5) prefetch(bits[rows[i]], sizeof(bits[0]));
        if (form == 2 || form == 3) prefetch(places + first, 2 * count);
        if (form == 3) prefetch(values + first, count);
        for (double until = now() + 0.6; now() < until;) {} /* a few lines at a time, as the backward pass does */
    }
}

static int less(const void *a, const void *b) { return (*(double *)a > *(double *)b) - (*(double *)a < *(double *)b); }

int main(void) {
    static const char *names[] = {"found in each step", "stored bits", "stored indices",
                                  "stored indices and values", "gradient, found in each step",
                                  "gradient, stored bits"};
    static void (*forms[])(const int32_t *) = {found, made_bits, made_places, made_both, gradient_found, gradient_bits};
    static double took[FORMS][ROUNDS];
    if (fread(x, D, N, stdin) != N || fread(order, sizeof(int32_t), N, stdin) != N) return 1;
    for (int i = 0; i < 256; i++) unit[i] = (float)i / 255;
    for (int i = 0; i < D * OUT; i++) w[i] = (float)(i % 37 - 18) / 100;
    bits = malloc(sizeof(*bits) * N);
    places = malloc(sizeof(uint16_t) * N * D);
    values = malloc(N * D);
    memset(bits, 1, sizeof(*bits) * N); /* touch the pages before the time is measured */
    memset(places, 1, sizeof(uint16_t) * N * D);
    memset(values, 1, N * D);
    double begin = now();
    for (int i = 0; i < N; i++)
        for (int k = 0; k < WORDS; k++) bits[i][k] = word(x + i * D, k);
    double for_bits = now() - begin;
    begin = now();
    uint32_t at = 0;
    for (int i = 0; i < N; starts[++i] = at)
        for (int k = 0; k < WORDS; k++)
            for (uint64_t b = bits[i][k]; b; b &= b - 1, at++) {
                places[at] = 64 * k + __builtin_ctzll(b);
                values[at] = x[i * D + places[at]];
            }
    double for_lists = for_bits + now() - begin;
    for (int form = 0; form < FORMS; form++) { /* all forward passes give the same, and both gradients */
        static float expected[D * OUT];
        float *result = form < 4 ? y : dw;
        size_t count = form < 4 ? sizeof(y) : sizeof(dw);
        forms[form](order);
        if (form % 4 && memcmp(expected, result, count)) return 2;
        memcpy(expected, result, count);
    }
    for (int round = 0; round < ROUNDS; round++)
        for (int form = 0; form < FORMS; form++) {
            double taken = 0;
            for (int batch = 0; batch + 1 < N / BATCH; batch++) {
                begin = now();
                forms[form](order + batch * BATCH);
                taken += now() - begin;
                prefetch_batch(order + (batch + 1) * BATCH, form); /* in the backward pass: not counted */
            }
            took[form][round] = taken / (N / BATCH - 1);
        }
    double made[] = {0, for_bits, for_lists, for_lists, 0, for_bits};
    double size[] = {0, sizeof(*bits) * N, sizeof(starts) + 2.0 * at, sizeof(starts) + 3.0 * at, 0, sizeof(*bits) * N};
    for (int form = 0; form < FORMS; form++) {
        qsort(took[form], ROUNDS, sizeof(double), less);
        printf("%-28s %6.1f us per batch   made in %5.1f ms   %5.1f MB\n", names[form], took[form][ROUNDS / 2],
               made[form] / 1e3, size[form] / 1e6);
    }
    return 0;
}
"""


def main() -> None:
    compiler = shutil.which((sysconfig.get_config_var("CC") or "cc").split()[0]) or shutil.which("cc")
    if compiler is None:
        raise SystemExit("compact_form: needs a C compiler; none was found: install one, such as gcc")
    (x, _), _ = fd.load_mnist()
    order = np.random.default_rng(0).permutation(len(x)).astype(np.int32)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "compact.c")
        source.write_text(SOURCE, encoding="utf-8")
        program = source.with_suffix("")
        subprocess.run([compiler, "-O3", "-march=native", "-Wno-psabi", source, "-o", program], check=True)
        outcome = subprocess.run(
            [program], input=x.tobytes() + order.tobytes(), check=True, stdout=subprocess.PIPE
        )
    print(outcome.stdout.decode(), end="")


if __name__ == "__main__":
    main()
