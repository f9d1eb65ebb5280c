"""Every loop over data, in Cython; _kernels_avx2.pyx and _kernels_avx512.pyx compile this file again.

Design note
-----------
Each kernel has two levels. A *door* is a ``def`` with typed memoryviews: it checks the sizes, fills an ``Op`` with
pointers, sizes and scalars, and submits it. A *loop* is a ``cdef … noexcept nogil`` function: it computes the items
``begin`` to ``end`` of the ``Op``. Arguments always come in this order: outputs, inputs, sizes, scalars. The forward
loop stands directly above its backward loop.

A loop is split over its outputs, or over parts of a sum that do not depend on the number of threads. Each output is
therefore computed by the same instructions in the same order, whichever thread computes it: results have the same bits
with any number of threads.

``submit`` runs an ``Op`` at once, or a ``Program`` records it and runs it many times. Both run the same loops and give
the same bits. A program records only the calls made through its ``Recording``: a signal handler or finalizer that uses
another network meanwhile runs its kernels as usual.

All dense layers use one register-blocked matrix product, ``multiply``. A tile of six rows by two vectors of the result
stays in twelve registers while the sum runs; the same loop over a local array is twenty times slower. A sum runs over
blocks of fixed size: each starts from zero and adds one product at a time. A product with a zero factor can therefore
be omitted without changing a bit. Of MNIST's pixels 81 % are zero: kernels on uint8 images omit these products, unless
a band of images has too few zeros for that to pay (``is_sparse``). With an infinite or NaN factor results differ: zero
times infinity is NaN in the NumPy twin, and is omitted here.

The inputs of a wide layer are split into two halves that do not depend on the number of threads. Each thread then uses
the same rows of the weight matrix in the forward pass and in the update (see ``first_half``).

Sums over a batch (means, variances, bias gradients) use double precision, so their error does not grow with the batch.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
cimport cython
from libc.math cimport cos, fabs, floor, isfinite, log, pow, sin, sqrt
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, qsort
from libc.string cimport memcpy, memset

cdef extern from "kernels/vector.h" nogil:
    ctypedef float vec  # LANES floats; Cython only writes + - * / on it, so declaring it as a float is enough
    enum: LANES
    vec splat(float x)
    vec load(const float* p)
    vec add_fused(vec c, vec x, vec y)
    vec add_product(vec c, vec x, vec y)
    vec load_partial(const float* p, Py_ssize_t count)
    void store(float* p, vec v)
    void store_partial(float* p, vec v, Py_ssize_t count)
    vec square_root(vec x)
    void store_fixed(int32_t* y, vec x, const int32_t* start)
    void between_pixels(uint8_t* y, const uint32_t* quads, const int32_t* u, const int32_t* v)
    void load_quads(uint32_t* values, Py_ssize_t n, const uint16_t* pairs)
    vec positive(vec x)
    vec between_columns(const float* line, Py_ssize_t ld, vec u, float last)
    void prefetch(const void* p)
    uint64_t nonzero_bytes(const uint8_t* p)
    int lowest_bit(uint64_t bits)
    int count_bits(uint64_t bits)
    void transpose_4x4(float* y, Py_ssize_t ldy, const float* x, Py_ssize_t ldx)
    void transpose_8x8(float* y, Py_ssize_t ldy, const float* x, Py_ssize_t ldx)
    void transpose_32x16(uint8_t* y, Py_ssize_t ldy, const uint8_t* const* x, Py_ssize_t p)
    int32_t float_to_bits(float x)
    int64_t double_to_bits(double x)
    float bits_to_float(int32_t i)
    uint64_t float_mode_enter()
    void float_mode_leave(uint64_t old)
    const char* COMPILED_BY
    void* recording  # the Program that records this thread's call of a door, or NULL
    Py_ssize_t first_owned  # the first item of this thread's own part of the op it runs

cdef extern from "_processor.h" nogil:
    int supports_avx2()
    int supports_avx512()

cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX
    int PyGC_Enable()
    int PyGC_Disable()

cdef extern from "kernels/pool.h" nogil:
    enum: POOL_QUEUES
    ctypedef struct pool_queue:
        pass
    void queue_fill(pool_queue* share, int64_t first, int64_t last)
    int64_t queue_pop(pool_queue* share)
    int64_t queue_steal(pool_queue* share)
    ctypedef struct pool_choice:
        pass
    int64_t pool_clock()
    bint pool_is_serial(const pool_choice* choice)
    void pool_measure(pool_choice* choice, int64_t ns, double work)
    void pool_run(void (*job)(void*, int, int) noexcept nogil, void* context, int parts)


LANE_COUNT = LANES  # floats per vector
COMPILER = COMPILED_BY.decode()


def instruction_sets():
    """Return the compiled backends that this processor and operating system support, best first."""
    return (["avx512"] if supports_avx512() else []) + (["avx2"] if supports_avx2() else []) + ["generic"]


# Each file stands below the files that it uses.

include "kernels/blocking.pxi"
include "kernels/lanes.pxi"
include "kernels/random.pxi"
include "kernels/op.pxi"
include "kernels/program.pxi"
include "kernels/matmul.pxi"
include "kernels/pixels.pxi"
include "kernels/gather.pxi"
include "kernels/pack.pxi"
include "kernels/dense.pxi"
include "kernels/softmax.pxi"
include "kernels/activations.pxi"
include "kernels/batchnorm.pxi"
include "kernels/loss.pxi"
include "kernels/perturb.pxi"
include "kernels/optimizers.pxi"
include "kernels/augment.pxi"
include "kernels/moments.pxi"
include "kernels/peak.pxi"
