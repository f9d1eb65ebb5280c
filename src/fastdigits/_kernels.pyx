"""Every loop over data, in Cython; _kernels_avx2.pyx and _kernels_avx512.pyx compile it again.

Design note
-----------
Two storeys. A *door* is a ``def`` on typed memoryviews: it checks that sizes agree, writes pointers and sizes into an
``Op`` and submits it. A *loop* is ``cdef … noexcept nogil``: it unpacks the ``Op`` and computes a part of the outputs,
those numbered ``begin`` to ``end``. Because a loop is always split over outputs, or
over parts of a sum that do not depend on the number of threads, each output is computed by the same instructions in the
same order, whoever computes which part. Arguments come in one order everywhere: outputs, inputs, sizes, scalars. Forward
stands right above its backward.

A submitted ``Op`` is run at once (the eager way), or recorded by a ``Program`` (the lowered way) and run many times
later. Both ways pass through the same loops, so they agree to the last bit. A program records the calls that go through
its own doors (`Recording`), not those that this thread happens to make meanwhile: a signal handler or a finalizer that
uses another network runs its kernels.

Dense layers are one register-blocked matrix product (``multiply``) used three times: six rows by two vectors of the
result stay in twelve registers while the sum runs. Left to the compiler, the same loop over a local array is twenty
times slower. Sums run over blocks of fixed size, each added up from zero, one product after the other; so a product
with a zero factor may be skipped without changing a bit. Of MNIST's pixels 81 % are zero: the kernels on uint8 images
skip them, unless a band of images has so few that skipping costs more than it saves. That holds for finite factors:
zero times infinity or NaN is NaN for the twins and is not seen by a kernel that skips it.

A wide layer is shared out by its inputs, in two halves that do not depend on the number of threads: a thread then keeps
to its rows of the weight matrix, in the forward pass as in the update (see "halves").

Sums over a batch (means, variances, bias gradients) run in double precision: their error does not grow with the batch.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
cimport cython
from libc.math cimport cos, floor, isfinite, log, pow, sin, sqrt
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport qsort
from libc.string cimport memcpy, memset

cdef extern from "kernels/vector.h" nogil:
    ctypedef float vec  # LANES floats; Cython may take it for one float: it only ever writes + - * / on it
    enum: LANES
    vec splat(float x)
    vec load(const float* p)
    vec load_partial(const float* p, Py_ssize_t count)
    void store(float* p, vec v)
    void store_partial(float* p, vec v, Py_ssize_t count)
    vec square_root(vec x)
    void prefetch(const void* p)
    uint64_t nonzero_bytes(const uint8_t* p)
    int lowest_bit(uint64_t bits)
    int count_bits(uint64_t bits)
    void transpose_4x4(float* y, Py_ssize_t ldy, const float* x, Py_ssize_t ldx)
    void transpose_16x16(uint8_t* y, Py_ssize_t ldy, const uint8_t* const* x, Py_ssize_t p)
    int32_t float_to_bits(float x)
    float bits_to_float(int32_t i)
    uint64_t float_mode_enter()
    void float_mode_leave(uint64_t old)
    const char* COMPILED_BY
    void* recording  # the Program that records the door which this thread is in, or NULL
    Py_ssize_t first_owned  # the first item of this thread's own share of the op that it works on

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


LANE_COUNT = LANES  # floats in a vector
COMPILER = COMPILED_BY.decode()


def instruction_sets():
    """Return the names of the compiled backends that this processor and operating system can run, best first."""
    return (["avx512"] if supports_avx512() else []) + (["avx2"] if supports_avx2() else []) + ["generic"]


# Each file below what it uses.

include "kernels/blocking.pxi"
include "kernels/lanes.pxi"
include "kernels/random.pxi"
include "kernels/op.pxi"
include "kernels/program.pxi"
include "kernels/matmul.pxi"
include "kernels/pixels.pxi"
include "kernels/gather.pxi"
include "kernels/dense.pxi"
include "kernels/softmax.pxi"
include "kernels/activations.pxi"
include "kernels/batchnorm.pxi"
include "kernels/loss.pxi"
include "kernels/optimizers.pxi"
include "kernels/augment.pxi"
include "kernels/peak.pxi"
