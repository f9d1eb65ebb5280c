"""Every compute loop of the package, ruled into sections: programs, dense, activations, batchnorm, loss, optimizers,
augmentation.

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

cdef extern from "_vector.h" nogil:
    ctypedef float vec  # LANES floats; Cython may take it for one float: it only ever writes + - * / on it
    enum: LANES
    vec splat(float x)
    vec load(const float* p)
    vec load_some(const float* p, Py_ssize_t count)
    void store(float* p, vec v)
    void store_some(float* p, vec v, Py_ssize_t count)
    vec square_root(vec x)
    void prefetch(const void* p)
    uint64_t nonzero_bytes(const uint8_t* p)
    int lowest_bit(uint64_t bits)
    int count_bits(uint64_t bits)
    void transpose_four(float* y, Py_ssize_t ldy, const float* x, Py_ssize_t ldx)
    void transpose_tile(uint8_t* y, Py_ssize_t ldy, const uint8_t* const* x, Py_ssize_t p)
    int32_t bits_of(float x)
    float float_of(int32_t i)
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

cdef extern from "_pool.h" nogil:
    enum: POOL_SHARES
    ctypedef struct pool_share:
        pass
    void share_set(pool_share* share, int64_t first, int64_t last)
    int64_t share_first(pool_share* share)
    int64_t share_last(pool_share* share)
    ctypedef struct pool_choice:
        pass
    int64_t pool_now()
    bint pool_alone(const pool_choice* choice)
    void pool_learn(pool_choice* choice, int64_t ns, double work)
    void pool_run(void (*job)(void*, int, int) noexcept nogil, void* context, int parts)


LANE_COUNT = LANES  # floats in a vector
COMPILER = COMPILED_BY.decode()


def instruction_sets():
    """Return the names of the compiled backends that this processor and operating system can run, best first."""
    return (["avx512"] if supports_avx512() else []) + (["avx2"] if supports_avx2() else []) + ["generic"]


# == programs ==========================================================================================================

ctypedef void (*Loop)(const Op*, Py_ssize_t, Py_ssize_t) noexcept nogil
ctypedef void (*Rule)(const Update*, const float*, Py_ssize_t, Py_ssize_t) noexcept nogil
ctypedef void (*Refresh)(Update*, double, Py_ssize_t) noexcept nogil

cdef enum Axis:  # what the items are that a loop is split over
    SAMPLES  # rows of its outputs
    WEIGHT_ROWS  # rows of a weight matrix, or elements of a parameter
    HALVES  # blocks of samples for the first half of their numbers, then for the second: see half_of
    WHOLE  # nothing: it is not split

cdef struct Update:  # an optimizer's rule for one parameter
    Rule rule
    Refresh refresh  # computes s from what changes with every step: the learning rate and the step's number
    float* grad
    float* value
    float* state[2]
    float s[8]
    double setting[4]
    Py_ssize_t step

cdef struct Op:  # one kernel with its arguments bound
    Loop loop
    Axis axis
    Py_ssize_t items  # how many rows or columns the work may be split into …
    Py_ssize_t grain  # … and how many of them stay together
    Py_ssize_t work  # multiply-adds, roughly
    float* a[9]  # the arrays, in the order of the door's arguments (labels and pixels are cast)
    int arrays
    int outputs  # how many of them, from the first on, are written
    int whole  # bit k: a part of the work touches more of a[k] than its own rows or columns
    Py_ssize_t n[3]  # sizes: rows, then columns
    float s[2]  # scalars
    uint64_t seed
    Py_ssize_t base  # the number of the step that the door was called for …
    Py_ssize_t step  # … and how many have passed since
    Update update[2]  # rules to apply to the gradients a[0] and a[1] as soon as they are known
    bint keep  # whether a gradient that goes through its rule must be found in its array afterwards
    # What a program needs to know of an op stands in these, set where the op is defined; by default it needs nothing.
    bint gathers  # whether it only copies the rows a[2] of a[1] to a[0] …
    int gathered  # … and which array, if one, may be replaced by what it was gathered from: see rows; 0 for none
    bint only_updates  # whether it is an optimizer's update by itself …
    int takes_updates  # … and how many of its outputs, from the first on, are gradients whose updates it can do
    bint gives_losses  # whether a[0] are the losses of the n[0] samples, after which a step may end
    bint lendable  # whether its units are long and alike enough for threads to take over each other's
    const int64_t* rows  # which rows of its pixels the samples are, or NULL: one after the other …
    const int64_t* ahead  # … and which they are in the coming step, or NULL
    bint unread  # whether a gathering op is left out, as those who want its rows look them up themselves
    int stage
    bint lends  # whether a thread may take over units of another one's share

cdef struct Job:  # what threads share while they run a stage of a program
    const Op* ops
    Py_ssize_t count
    int parts  # into which the op that lends is cut
    pool_share shares[POOL_SHARES]

cdef enum:
    LINE = 16  # floats in a cache line
    BLOCK = 16  # samples that stay together, whatever the number of threads: sums over a batch are sums over blocks
    PART = 16384  # multiply-adds of a stage that pay for another thread that is awake …
    USES = 8  # of a bound array by the ops of a program, and one more
    HABITS = 16  # amounts of work for which programs remember whether to share it
    WAKING = 1 << 22  # … and of a whole call, for one that may be asleep: about 0.1 ms against 50 µs


cdef void do_part(void* context, int part, int parts) noexcept nogil:
    global first_owned
    cdef Job* job = <Job*>context
    cdef const Op* op
    cdef Py_ssize_t i, begin, end
    cdef uint64_t mode = float_mode_enter()
    for i in range(job.count):
        op = &job.ops[i]
        begin = units_of(op) * part // parts
        end = units_of(op) * (part + 1) // parts
        first_owned = begin * op.grain
        if begin == end:
            continue
        if op.lends and parts > 1 and parts == job.parts:
            do_units(op, job, part, parts)
        else:
            op.loop(op, begin * op.grain, min(end * op.grain, op.items))
    float_mode_leave(mode)


cdef inline Py_ssize_t units_of(const Op* op) noexcept nogil:
    return (op.items + op.grain - 1) // op.grain


cdef void do_units(const Op* op, Job* job, int part, int parts) noexcept nogil:
    # the units of this part one by one, then what others have not begun: a core may be slower than another
    cdef Py_ssize_t unit
    cdef int k
    for k in range(parts):
        if k > 0 and first_owned + op.grain > op.items:  # its own share could not hold the gradient of a whole unit
            break
        while True:
            unit = share_first(&job.shares[part]) if k == 0 else share_last(&job.shares[(part + k) % parts])
            if unit < 0:
                break
            op.loop(op, unit * op.grain, min((unit + 1) * op.grain, op.items))


cdef void define(
    Op* op, Loop loop, Axis axis, Py_ssize_t items, Py_ssize_t work, int arrays, int outputs, int whole
) noexcept nogil:
    memset(op, 0, sizeof(Op))
    op.loop, op.axis, op.items, op.work = loop, axis, items, work
    op.grain = BLOCK if axis == SAMPLES else 1
    op.keep = True
    op.arrays, op.outputs, op.whole = arrays, outputs, whole


cdef int submit(Op* op, tuple arrays) except -1:
    # the end of every door: run the op now, or give it to the program that called the door
    cdef Job job
    cdef int parts = <int>min(<Py_ssize_t>threads, 1 + op.work // WAKING)
    cdef int64_t begin
    if recording != NULL:
        (<Program>recording).record(op, arrays)
        return 0
    job.ops = op
    job.count = 1
    job.parts = 0
    if parts == 1:
        with nogil:
            pool_run(do_part, &job, 1)
        return 0
    if pool_alone(&eager):
        parts = 1
    begin = pool_now()
    with nogil:
        pool_run(do_part, &job, parts)
    pool_learn(&eager, pool_now() - begin, <double>op.work)
    return 0


cdef int threads = 1
cdef pool_choice eager  # whether the ops that doors submit one by one are shared

cdef struct Habit:  # what programs of so much work a step, with so many threads, have learned, for those after them
    Py_ssize_t work
    int threads
    pool_choice choice

cdef Habit habits[HABITS]


def forget_habits():
    """Forget what was learned of whether sharing work pays, as if nothing had run yet."""
    memset(&eager, 0, sizeof(eager))
    memset(habits, 0, sizeof(habits))


forget_habits()


def set_threads(int n):
    """Let a door that is called outside a program use up to ``n`` threads; more work is needed for each."""
    global threads
    if n < 1:
        raise ValueError(f"set_threads: n must be at least 1; got {n}")
    threads = n


cdef bint touches(const Op* op, const float* array, bint* written, bint* whole) noexcept nogil:
    # whether op reads or writes this array, itself or by its updates
    cdef int k, u
    cdef bint found = False
    for k in range(op.arrays):
        if op.a[k] == array:
            found = True
            written[0] |= k < op.outputs
            whole[0] |= op.whole >> k & 1
        for u in range(2):
            if op.update[u].rule != NULL and op.update[u].grad == op.a[k] and op.update[u].value == array:
                found = written[0] = True
                whole[0] |= op.whole >> k & 1
    return found


# Threads do not wait for each other within a stage: an array that one op writes and another one touches must be split
# alike in both, and each part of them must stay within its own share. Otherwise the later op needs a later stage. To
# place an op takes the last stages of each way in which an array was touched, not a look at each op before it: a
# network of 600 layers has thousands.

cdef struct Touch:  # what happened to one array so far, by ops that are split alike; and the next way of splitting
    Axis axis
    Py_ssize_t items
    Py_ssize_t grain
    int last[2][2]  # the last stage, or -1, in which it was [only read, written] by ops that stay [within, beyond] parts
    Py_ssize_t next


cdef inline const void* array_of(const Op* op, int k) noexcept nogil:
    # the arrays that an op touches: its own, then those that its updates change
    if k < op.arrays:
        return op.a[k]
    return op.update[k - op.arrays].value if op.update[k - op.arrays].rule != NULL else NULL


cdef int compare_arrays(const void* a, const void* b) noexcept nogil:
    cdef size_t first = (<const size_t*>a)[0], second = (<const size_t*>b)[0]
    return (first > second) - (first < second)


cdef Py_ssize_t place_of(const size_t* sorted_, Py_ssize_t count, const void* array) noexcept nogil:
    # where an array stands among those in order
    cdef Py_ssize_t low = 0, middle
    while low < count:
        middle = (low + count) // 2
        if sorted_[middle] < <size_t>array:
            low = middle + 1
        else:
            count = middle
    return low


cdef int stage_after(const Touch* touches_, Py_ssize_t at, const Op* op, bint written, bint whole) noexcept nogil:
    # the first stage in which op may touch an array that was touched so
    cdef int stage = 0, wrote, beyond, last
    cdef bint alike
    while at >= 0:
        alike = touches_[at].axis == op.axis and touches_[at].items == op.items and touches_[at].grain == op.grain
        for wrote in range(0 if written else 1, 2):
            for beyond in range(2):
                last = touches_[at].last[wrote][beyond]
                if last >= 0:
                    stage = max(stage, last if alike and not whole and not beyond else last + 1)
        at = touches_[at].next
    return stage


cdef int update_slot(const Op* op, const float* grad) noexcept nogil:
    # where an op that makes this gradient wants the rule for it, or -1
    cdef int slot
    for slot in range(op.takes_updates):
        if op.a[slot] == grad:
            return slot
    return -1


cdef bint all_finite(const float* x, Py_ssize_t n) noexcept nogil:
    cdef double total = 0
    cdef Py_ssize_t i
    for i in range(n):
        total += x[i]
    return isfinite(total)


cdef inline void replace(float*** uses, float* array) noexcept nogil:
    while uses[0] != NULL:
        uses[0][0] = array
        uses += 1


@cython.final
cdef class Program:
    """Kernels bound to their arrays, run step after step without the interpreter.

    ``with program as doors:`` records: each door that is called as ``doors.relu_forward(y, x)`` is noted instead of run.
    What one step of training calls is then what ``run`` repeats. What changes from step to step comes from outside:
    ``rows`` (which samples the step is about), the learning rate, and the number of the step. Doors of the module run
    as always meanwhile, in this thread as in others.

    Ops are sorted into stages; within a stage, threads need not wait for each other. An optimizer's update that follows
    the op which makes its gradient becomes part of that op: it is applied while the gradient is in cache.

    Parameters
    ----------
    rows : ndarray of int64, shape (n,)
        The buffer from which the gathering kernels learn which samples the step is about; ``run`` fills it.
    """

    cdef Op* ops
    cdef Py_ssize_t count, room
    cdef bint is_open
    cdef list held
    cdef int64_t[::1] rows
    cdef Py_ssize_t row_count  # of the arrays that rows are gathered from, the shortest
    cdef const float* losses  # of the samples, and the stage after which they are known
    cdef Py_ssize_t n_losses
    cdef int loss_stage
    cdef float** outcome[USES]  # where the arrays stand that answer replaces, then NULL
    cdef float** given[USES]
    cdef Py_ssize_t outcome_bytes, given_bytes
    cdef Py_ssize_t work  # of a step
    cdef pool_choice choice  # whether steps are shared: a copy of the habit while they run

    def __cinit__(self, int64_t[::1] rows not None):
        self.ops = NULL
        self.count = self.room = 0
        self.is_open = False
        self.held = []
        self.rows = rows
        self.row_count = PY_SSIZE_T_MAX
        self.losses = NULL
        self.given[0] = NULL
        self.work = 0

    def __dealloc__(self):
        PyMem_Free(self.ops)

    def __len__(self):
        return self.count

    @property
    def stages(self):
        """How many times a step makes the threads wait for each other."""
        return 1 + self.ops[self.count - 1].stage if self.count else 0

    def __enter__(self):
        if self.count or self.is_open:
            raise RuntimeError("Program: this program is recorded already; make a new one")
        self.is_open = True
        return Recording.__new__(Recording, self)

    def __exit__(self, kind, error, traceback):
        self.is_open = False
        if kind is not None:
            self.count = 0
            return
        try:
            self.arrange()
        except BaseException:
            self.count = 0
            raise

    cdef int arrange(self) except -1:
        # give each op its stage, and each update to the op that makes its gradient; n log n for n ops
        cdef Py_ssize_t i, uses = 0, arrays = 0
        cdef int k
        cdef size_t* sorted_
        if self.count == 0:
            return 0
        for i in range(self.count):
            uses += self.ops[i].arrays + 2
        sorted_ = <size_t*>PyMem_Malloc(uses * (sizeof(size_t) + sizeof(Py_ssize_t) + sizeof(Touch)))
        if sorted_ == NULL:
            raise MemoryError()
        try:
            uses = 0
            for i in range(self.count):
                for k in range(self.ops[i].arrays + 2):
                    if array_of(&self.ops[i], k) != NULL:
                        sorted_[uses] = <size_t>array_of(&self.ops[i], k)
                        uses += 1
            qsort(sorted_, uses, sizeof(size_t), compare_arrays)
            for i in range(uses):
                if i == 0 or sorted_[i] != sorted_[arrays - 1]:
                    sorted_[arrays] = sorted_[i]
                    arrays += 1
            self.fuse(sorted_, arrays, <Py_ssize_t*>(sorted_ + uses))
            self.place(sorted_, arrays, <Py_ssize_t*>(sorted_ + uses), <Touch*>(sorted_ + 2 * uses))
            self.sort_by_stage()
        finally:
            PyMem_Free(sorted_)
        for i in range(self.count):
            self.ops[i].lends = self.may_lend(i)
            self.work += self.ops[i].work
        return 0

    cdef void fuse(self, const size_t* sorted_, Py_ssize_t arrays, Py_ssize_t* last) noexcept:
        # Give each update to the last op that touches its gradient, if that op makes it and knows what to do with it, and
        # if nobody after that op still wants the old value; leave out what nobody reads. last: who touched an array last.
        cdef Py_ssize_t i, value, maker, kept = 0
        cdef int k, slot
        cdef Op* op
        for i in range(arrays):
            last[i] = -1
        for i in range(self.count):
            op = &self.ops[i]
            if op.only_updates:
                value = place_of(sorted_, arrays, op.update[0].value)
                maker = last[place_of(sorted_, arrays, op.update[0].grad)]
                slot = update_slot(&self.ops[maker], op.update[0].grad) if maker >= last[value] and maker >= 0 else -1
                if slot >= 0 and self.ops[maker].update[slot].rule == NULL:
                    self.ops[maker].update[slot] = op.update[0]
                    last[value] = maker
                    op.loop = NULL
                    continue
            for k in range(op.arrays + 2):
                if array_of(op, k) != NULL:
                    last[place_of(sorted_, arrays, array_of(op, k))] = i
        for i in range(self.count):
            op = &self.ops[i]
            if op.loop != NULL and not (op.unread and last[place_of(sorted_, arrays, op.a[0])] == i):
                self.ops[kept] = op[0]
                kept += 1
        self.count = kept

    cdef void place(self, const size_t* sorted_, Py_ssize_t arrays, Py_ssize_t* first, Touch* touched) noexcept:
        # the first stage of each op in which nothing that it touches is still in work; first: the Touch of each array
        cdef Py_ssize_t i, at, array, count = 0
        cdef int k
        cdef bint written, whole
        cdef Op* op
        for i in range(arrays):
            first[i] = -1
        for i in range(self.count):
            op = &self.ops[i]
            op.stage = 0
            for k in range(op.arrays + 2):
                if array_of(op, k) != NULL:
                    written = whole = False
                    touches(op, <const float*>array_of(op, k), &written, &whole)
                    at = first[place_of(sorted_, arrays, array_of(op, k))]
                    op.stage = max(op.stage, stage_after(touched, at, op, written, whole))
            for k in range(op.arrays + 2):
                if array_of(op, k) == NULL:
                    continue
                written = whole = False
                touches(op, <const float*>array_of(op, k), &written, &whole)
                array = place_of(sorted_, arrays, array_of(op, k))
                at = first[array]
                while at >= 0 and not (
                    touched[at].axis == op.axis and touched[at].items == op.items and touched[at].grain == op.grain
                ):
                    at = touched[at].next
                if at < 0:
                    at = count
                    count += 1
                    touched[at].axis, touched[at].items, touched[at].grain = op.axis, op.items, op.grain
                    memset(touched[at].last, -1, sizeof(touched[at].last))
                    touched[at].next, first[array] = first[array], at
                touched[at].last[written][whole] = max(touched[at].last[written][whole], op.stage)
            if op.gives_losses:  # updates come later: they need all of dlogits
                self.losses, self.n_losses, self.loss_stage = op.a[0], op.n[0], op.stage

    cdef int sort_by_stage(self) except -1:
        # keeping the order within each
        cdef Py_ssize_t i
        cdef int stages = 0
        cdef Py_ssize_t* starts
        cdef Op* ordered
        for i in range(self.count):
            stages = max(stages, self.ops[i].stage + 1)
        ordered = <Op*>PyMem_Malloc(self.count * sizeof(Op) + (stages + 1) * sizeof(Py_ssize_t))
        if ordered == NULL:
            raise MemoryError()
        starts = <Py_ssize_t*>(ordered + self.count)
        memset(starts, 0, (stages + 1) * sizeof(Py_ssize_t))
        for i in range(self.count):
            starts[self.ops[i].stage + 1] += 1
        for i in range(stages):
            starts[i + 1] += starts[i]
        for i in range(self.count):
            ordered[starts[self.ops[i].stage]] = self.ops[i]
            starts[self.ops[i].stage] += 1
        PyMem_Free(self.ops)
        self.ops = ordered
        return 0

    cdef bint may_lend(self, Py_ssize_t position) noexcept:
        # The first layer's passes and wide weight gradients, the long ones, one a stage: unless another op of the stage
        # has to do with the same arrays, and so relies on who works on which part of them.
        cdef Op* op = &self.ops[position]
        cdef Py_ssize_t i
        cdef int k
        cdef bint written, whole
        if not op.lendable:
            return False
        i = position
        while i > 0 and self.ops[i - 1].stage == op.stage:
            i -= 1
        while i < self.count and self.ops[i].stage == op.stage:
            for k in range(op.arrays if i != position else 0):
                if touches(&self.ops[i], op.a[k], &written, &whole):
                    return False
            if i < position and self.ops[i].lends:
                return False
            i += 1
        return True

    cdef int record(self, Op* op, tuple arrays) except -1:
        cdef Op* grown
        cdef Py_ssize_t room
        if self.count == self.room:
            room = 2 * self.room + 16
            grown = <Op*>PyMem_Realloc(self.ops, room * sizeof(Op))
            if grown == NULL:
                raise MemoryError()
            self.ops, self.room = grown, room
        self.held.append(arrays)
        self.look_up(op)
        self.ops[self.count] = op[0]
        self.count += 1
        return 0

    cdef void look_up(self, Op* op) noexcept:
        # let the first layer look its rows up where they are gathered from
        cdef Py_ssize_t i
        if op.gathered == 0:
            return
        for i in range(self.count):
            if self.ops[i].gathers and self.ops[i].a[0] == op.a[op.gathered]:
                op.a[op.gathered], op.rows = self.ops[i].a[1], <const int64_t*>self.ops[i].a[2]
                self.ops[i].unread = True

    def run(self, const int64_t[::1] order, const double[::1] lrs, Py_ssize_t tick=0, int threads=1):
        """Take one step for each learning rate; step i is about the samples ``order[i·n : (i + 1)·n]``.

        Parameters
        ----------
        order : ndarray of int64, shape (len(lrs) · n,)
            Which samples, in which order.
        lrs : ndarray of float64
            The learning rate of each step.
        tick : int
            How many steps were taken since the program was recorded: it continues their numbers.
        threads : int
            How many threads may share a step. The result does not depend on it.

        Returns
        -------
        int
            How many steps were completed: fewer than asked for if the next one's loss was not finite. That step has
            changed no parameter.

        Raises
        ------
        ValueError
            If a number in ``order`` is not that of a sample; the steps before the one that meets it were taken.
        """
        cdef Py_ssize_t n = self.rows.shape[0], steps = lrs.shape[0], done = 0, i
        cdef int64_t wrong = 0
        cdef bint known = True
        cdef const int64_t* ahead
        threads = self.begin(threads, steps)
        if order.shape[0] != steps * n:
            raise ValueError(f"Program.run: order must be ({steps * n},), {n} rows a step; got ({order.shape[0]},)")
        with nogil:
            while done < steps:
                for i in range(n):  # the program's own copy is checked: order may change meanwhile
                    self.rows[i] = order[done * n + i]
                    if self.rows[i] < 0 or self.rows[i] >= self.row_count:
                        known, wrong = False, self.rows[i]
                if not known:
                    break
                ahead = &order[(done + 1) * n] if n > 0 and done + 1 < steps else NULL
                if not self.step(lrs[done], tick + done, ahead, threads):
                    break
                done += 1
        self.end(threads)
        if not known:
            raise ValueError(f"Program.run: order must lie in 0 … {self.row_count - 1}; got {wrong}")
        return done

    def bind_io(self, float[:, ::1] y not None, x not None):
        """Name the recorded arrays in whose place `predict` takes others: the result, and what it is made of."""
        cdef Py_buffer buffer
        PyObject_GetBuffer(x, &buffer, PyBUF_SIMPLE)
        self.outcome_bytes, self.given_bytes = y.shape[0] * y.shape[1] * <Py_ssize_t>sizeof(float), buffer.len
        self.find_uses(self.outcome, &y[0, 0])
        self.find_uses(self.given, <float*>buffer.buf)
        PyBuffer_Release(&buffer)

    cdef void find_uses(self, float*** uses, const float* array) noexcept:
        # where ops have this array; at most USES - 1 places: there are fewer in a network
        cdef Py_ssize_t i
        cdef int k, found = 0
        for i in range(self.count):
            for k in range(self.ops[i].arrays):
                if self.ops[i].a[k] == array and found < USES - 1:
                    uses[found] = &self.ops[i].a[k]
                    found += 1
        uses[found] = NULL

    def predict(self, y not None, x not None, int threads=1, Py_ssize_t calls=1):
        """Run what was recorded once, with other arrays in place of the bound ones: a prediction.

        Parameters
        ----------
        y, x : ndarray, C order
            Of as many bytes as the bound arrays.
        threads : int
            How many threads may share the work.
        calls : int
            How many such calls follow each other: together they may pay for a thread that one does not pay for.
        """
        cdef Py_buffer into, of
        PyObject_GetBuffer(y, &into, PyBUF_WRITABLE)
        try:
            PyObject_GetBuffer(x, &of, PyBUF_SIMPLE)
        except BaseException:
            PyBuffer_Release(&into)
            raise
        cdef bint fits = self.given[0] != NULL and into.len == self.outcome_bytes and of.len == self.given_bytes
        if fits:
            threads = self.begin(threads, calls)
            with nogil:
                replace(self.outcome, <float*>into.buf)
                replace(self.given, <float*>of.buf)
                self.step(0, 0, NULL, threads)
            self.end(threads)
        PyBuffer_Release(&into)
        PyBuffer_Release(&of)
        if not fits:
            raise ValueError("Program.predict: y and x must be of the size of those that were bound")

    cdef Habit* habit(self, int threads) noexcept:
        return &habits[(self.work + threads) % HABITS]

    cdef int begin(self, int threads, Py_ssize_t steps) noexcept:
        # how many threads so many steps pay for; what programs of as much work know of sharing it
        cdef Habit* habit
        threads = <int>min(<Py_ssize_t>threads, 1 + steps * self.work // WAKING)
        habit = self.habit(threads)
        if habit.work != self.work or habit.threads != threads:
            memset(habit, 0, sizeof(Habit))
            habit.work, habit.threads = self.work, threads
        self.choice = habit.choice
        return threads

    cdef void end(self, int threads) noexcept:
        cdef Habit* habit = self.habit(threads)
        if habit.work == self.work and habit.threads == threads:
            habit.choice = self.choice

    cdef bint step(self, double lr, Py_ssize_t tick, const int64_t* ahead, int threads) noexcept nogil:
        # whether the losses are finite; the choice of a way learns from each step that may be shared
        cdef int64_t begin
        cdef uint64_t mode = float_mode_enter()
        cdef bint finite
        if threads == 1:
            finite = self.do_step(lr, tick, ahead, 1)
        else:
            begin = pool_now()
            finite = self.do_step(lr, tick, ahead, 1 if pool_alone(&self.choice) else threads)
            pool_learn(&self.choice, pool_now() - begin, 1)
        float_mode_leave(mode)
        return finite

    cdef bint do_step(self, double lr, Py_ssize_t tick, const int64_t* ahead, int threads) noexcept nogil:
        cdef Py_ssize_t first = 0, i, work
        cdef Op* op
        cdef Job job
        cdef int u
        for i in range(self.count):
            op = &self.ops[i]
            op.step = tick
            op.keep = ahead == NULL
            op.ahead = ahead
            for u in range(2):
                if op.update[u].rule != NULL:
                    op.update[u].refresh(&op.update[u], lr, op.update[u].step + tick)
        if threads == 1:
            return self.do_alone()
        while first < self.count:
            i = first
            work = 0
            while i < self.count and self.ops[i].stage == self.ops[first].stage:
                work += self.ops[i].work
                i += 1
            job.ops = &self.ops[first]
            job.count = i - first
            job.parts = <int>min(<Py_ssize_t>min(threads, POOL_SHARES), 1 + work // PART)
            self.share_out(&job)
            pool_run(do_part, &job, job.parts)
            if self.losses != NULL and self.ops[first].stage == self.loss_stage:
                if not all_finite(self.losses, self.n_losses):
                    return False
            first = i
        return True

    cdef bint do_alone(self) noexcept nogil:
        # all stages at once; nobody waits
        global first_owned
        cdef Py_ssize_t i
        cdef bint finite = True
        first_owned = 0
        for i in range(self.count):
            if self.losses != NULL and i > 0 and self.ops[i - 1].stage == self.loss_stage < self.ops[i].stage:
                finite = all_finite(self.losses, self.n_losses)
                if not finite:
                    break
            self.ops[i].loop(&self.ops[i], 0, self.ops[i].items)
        return finite

    cdef void share_out(self, Job* job) noexcept nogil:
        cdef Py_ssize_t i, units
        cdef int part
        for i in range(job.count):
            if job.ops[i].lends:
                units = units_of(&job.ops[i])
                for part in range(job.parts):
                    share_set(&job.shares[part], units * part // job.parts, units * (part + 1) // job.parts)


@cython.final
cdef class Recording:
    """The doors of this module, as a program has them while it is recorded: what is called here is noted, not run."""

    cdef Program program

    def __cinit__(self, Program program not None):
        self.program = program

    def __getattr__(self, str name):
        door = globals().get(name)
        if name.startswith("_") or door is None:
            raise AttributeError(f"Recording: there must be a door of this name; got {name}")
        return Noted.__new__(Noted, self.program, door)


@cython.final
cdef class Noted:
    """A door whose calls a program records."""

    cdef Program program
    cdef object door

    def __cinit__(self, Program program not None, door not None):
        self.program, self.door = program, door

    def __call__(self, *arguments):
        # Between the two assignments nothing but the door runs: no bytecode, so no signal handler, and no finalizer of
        # what the garbage collector finds.
        global recording
        if not self.program.is_open:
            raise RuntimeError("Program: this program is recorded already; make a new one")
        cdef int collects = PyGC_Disable()
        recording = <void*>self.program
        try:
            self.door(*arguments)
        finally:
            recording = NULL
            if collects:
                PyGC_Enable()


cdef int expect(str door, str name, Py_ssize_t got, Py_ssize_t want) except -1:
    if got != want:
        raise ValueError(f"{door}: {name} must be ({want},); got ({got},)")
    return 0


cdef int expect2(
    str door, str name, Py_ssize_t got_rows, Py_ssize_t got_cols, Py_ssize_t rows, Py_ssize_t cols
) except -1:
    if got_rows != rows or got_cols != cols:
        raise ValueError(f"{door}: {name} must be ({rows}, {cols}); got ({got_rows}, {got_cols})")
    return 0


# == halves ============================================================================================================

# A wide layer's weights should stay with the thread that changes them: what another core has written comes to this one
# late, and what another core has read is late to be written: two threads took 76 ms an epoch at batch 64 where they now
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


cdef inline void share_of_half(
    const Op* op, int half, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t* first, Py_ssize_t* last
) noexcept nogil:
    # which samples of this half are among the items begin to end: blocks of them, those of the first half first; or
    # samples, where all inputs are in the first half
    cdef Py_ssize_t before = half * blocks_of(op.n[0])
    if op.axis == SAMPLES:
        first[0], last[0] = begin, end if half == 0 else begin
    else:
        first[0] = min(max(begin - before, 0) * BLOCK, op.n[0])
        last[0] = min(max(end - before, 0) * BLOCK, op.n[0])


cdef inline void split_in_halves(Op* op) noexcept nogil:
    # an op on n[0] samples of n[1] numbers: over both halves, or over samples where there is one
    cdef bint halves = half_of(op.n[1]) < op.n[1]
    op.axis = HALVES if halves else SAMPLES
    op.items = 2 * blocks_of(op.n[0]) if halves else op.n[0]
    op.grain = 1 if halves else BLOCK


# == gathering: the samples that a step of a program is about ==========================================================

cdef int expect_rows(str door, const int64_t[::1] rows, Py_ssize_t n) except -1:
    cdef Py_ssize_t i
    if recording != NULL and rows.shape[0] > 0 and &rows[0] == &(<Program>recording).rows[0]:
        # filled, and checked, by each step
        (<Program>recording).row_count = min((<Program>recording).row_count, n)
        return 0
    for i in range(rows.shape[0]):
        if rows[i] < 0 or rows[i] >= n:
            raise ValueError(f"{door}: rows must lie in 0 … {n - 1}; got {rows[i]}")
    return 0


cdef void gather_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # row i of y = row rows[i] of x; a row is n[1] numbers of n[2] bytes; split like the work of the first layer, so that
    # who works on some inputs fetches them
    cdef char* y = <char*>op.a[0]
    cdef const char* x = <const char*>op.a[1]
    cdef const int64_t* rows = <const int64_t*>op.a[2]
    cdef Py_ssize_t size = op.n[1] * op.n[2], start = 0, stop = half_of(op.n[1]) * op.n[2], first, last, i
    cdef int half
    for half in range(2):
        share_of_half(op, half, begin, end, &first, &last)
        for i in range(first, last):
            memcpy(y + i * size + start, x + rows[i] * size + start, stop - start)
        start, stop = stop, size


cdef int submit_gather(
    void* y, const void* x, const int64_t[::1] rows, Py_ssize_t d, Py_ssize_t bytes_, tuple arrays
) except -1:
    cdef Op op
    define(&op, gather_loop, SAMPLES, rows.shape[0], rows.shape[0] * d * bytes_ // 32, 3, 1, 0b110)
    op.a[0], op.a[1], op.a[2] = <float*>y, <float*>x, <float*>&rows[0]
    op.n[0], op.n[1], op.n[2] = rows.shape[0], d, bytes_
    op.gathers = True
    split_in_halves(&op)
    submit(&op, arrays)
    return 0


def gather(float[:, ::1] y, const float[:, ::1] x, const int64_t[::1] rows):
    cdef Py_ssize_t n = rows.shape[0], d = x.shape[1]
    expect2("gather", "y", y.shape[0], y.shape[1], n, d)
    expect_rows("gather", rows, x.shape[0])
    submit_gather(&y[0, 0], &x[0, 0], rows, d, sizeof(float), (y, x, rows) if recording != NULL else None)


def gather_uint8(unsigned char[:, ::1] y, const unsigned char[:, ::1] x, const int64_t[::1] rows):
    cdef Py_ssize_t n = rows.shape[0], d = x.shape[1]
    expect2("gather_uint8", "y", y.shape[0], y.shape[1], n, d)
    expect_rows("gather_uint8", rows, x.shape[0])
    submit_gather(&y[0, 0], &x[0, 0], rows, d, 1, (y, x, rows) if recording != NULL else None)


def gather_labels(int64_t[::1] y, const int64_t[::1] x, const int64_t[::1] rows):
    cdef Py_ssize_t n = rows.shape[0]
    expect("gather_labels", "y", y.shape[0], n)
    expect_rows("gather_labels", rows, x.shape[0])
    submit_gather(&y[0], &x[0], rows, 1, sizeof(int64_t), (y, x, rows) if recording != NULL else None)


cdef void gather_pixels_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # y (n, d) = x[rows] / 255, for networks whose first layer does not take pixels; split over rows
    cdef float* y = op.a[0]
    cdef const uint8_t* x = <const uint8_t*>op.a[1]
    cdef const int64_t* rows = <const int64_t*>op.a[2]
    cdef Py_ssize_t d = op.n[1], i
    cdef const uint8_t* image
    for i in range(begin, end):
        image = x + rows[i] * d
        widen(y + i * d, &image, 0, 1, d)


def gather_pixels(float[:, ::1] y, const unsigned char[:, ::1] x, const int64_t[::1] rows):
    cdef Op op
    cdef Py_ssize_t n = rows.shape[0], d = x.shape[1]
    expect2("gather_pixels", "y", y.shape[0], y.shape[1], n, d)
    expect_rows("gather_pixels", rows, x.shape[0])
    define(&op, gather_pixels_loop, SAMPLES, n, n * d // 8, 3, 1, 0b110)
    op.a[0], op.a[1], op.a[2] = &y[0, 0], <float*>&x[0, 0], <float*>&rows[0]
    op.n[0], op.n[1] = n, d
    submit(&op, (y, x, rows) if recording != NULL else None)


cdef void gather_weights_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # total (1,) = sum of x[rows]; y (n,) = x[rows] / total, or 0 where that is 0; not split
    cdef float* y = op.a[0]
    cdef double* total = <double*>op.a[1]
    cdef const float* x = op.a[2]
    cdef const int64_t* rows = <const int64_t*>op.a[3]
    cdef Py_ssize_t n = op.n[0], i
    cdef double mass = 0
    for i in range(n):
        mass += x[rows[i]]
    for i in range(n):
        y[i] = <float>(x[rows[i]] / mass) if mass > 0 else 0
    total[0] = mass


def gather_weights(float[::1] y, double[::1] total, const float[::1] x, const int64_t[::1] rows):
    cdef Op op
    cdef Py_ssize_t n = rows.shape[0]
    expect("gather_weights", "y", y.shape[0], n)
    expect("gather_weights", "total", total.shape[0], 1)
    expect_rows("gather_weights", rows, x.shape[0])
    define(&op, gather_weights_loop, WHOLE, 1, n, 4, 2, 0b1111)
    op.a[0], op.a[1], op.a[2], op.a[3] = &y[0], <float*>&total[0], <float*>&x[0], <float*>&rows[0]
    op.n[0] = n
    submit(&op, (y, total, x, rows) if recording != NULL else None)


# == dense =============================================================================================================

cdef enum:
    ROWS = 6  # of a tile; with two vectors across, its 12 sums, 2 factors and 1 broadcast fit into 16 registers
    COLS = 2 * LANES
    DEPTH = 192  # inputs whose products are summed up by themselves: three chunks of pixels, a panel in cache
    BATCH = 256  # samples whose products are summed up by themselves in a weight gradient
    PANEL = 48  # rows of a weight gradient that are worked on at a time: a multiple of 6, still in cache for the update
    BAND = 36  # rows of pixels that are worked on at a time: a multiple of 6 as well
    CHUNK = 64  # bytes of pixels that are tested for zeros at once
    WORDS = 4  # of CHUNK bits: a block of DEPTH + CHUNK pixels, or BATCH samples

cdef float UNIT[256]  # pixel / 255
for _pixel in range(256):
    UNIT[_pixel] = <float>_pixel / <float>255.0


cdef inline vec base(const float* start, Py_ssize_t j) noexcept nogil:
    return load(start + j) if start != NULL else splat(0)


cdef void tile(
    float* c, Py_ssize_t ldc, const float* start, Py_ssize_t ld_start, const float* a, Py_ssize_t row, Py_ssize_t step,
    const float* b, Py_ssize_t ldb, Py_ssize_t k, Py_ssize_t rows,
) noexcept nogil:
    # c (6, COLS) = start (6, COLS) + a (rows, k) @ b (k, COLS); rows of a beyond the last repeat it; no start means zero
    cdef const float* a0 = a
    cdef const float* a1 = a0 + row * (rows > 1)
    cdef const float* a2 = a1 + row * (rows > 2)
    cdef const float* a3 = a2 + row * (rows > 3)
    cdef const float* a4 = a3 + row * (rows > 4)
    cdef const float* a5 = a4 + row * (rows > 5)
    cdef vec c00 = splat(0), c01 = splat(0), c10 = splat(0), c11 = splat(0), c20 = splat(0), c21 = splat(0)
    cdef vec c30 = splat(0), c31 = splat(0), c40 = splat(0), c41 = splat(0), c50 = splat(0), c51 = splat(0)
    cdef vec b0, b1, x
    cdef Py_ssize_t p = 0, stop = k * step
    while p != stop:
        b0 = load(b)
        b1 = load(b + LANES)
        b += ldb
        x = splat(a0[p])
        c00 = c00 + x * b0
        c01 = c01 + x * b1
        x = splat(a1[p])
        c10 = c10 + x * b0
        c11 = c11 + x * b1
        x = splat(a2[p])
        c20 = c20 + x * b0
        c21 = c21 + x * b1
        x = splat(a3[p])
        c30 = c30 + x * b0
        c31 = c31 + x * b1
        x = splat(a4[p])
        c40 = c40 + x * b0
        c41 = c41 + x * b1
        x = splat(a5[p])
        c50 = c50 + x * b0
        c51 = c51 + x * b1
        p += step
    store(c, base(start, 0) + c00)
    store(c + LANES, base(start, LANES) + c01)
    c += ldc
    start = start + ld_start if start != NULL else NULL
    store(c, base(start, 0) + c10)
    store(c + LANES, base(start, LANES) + c11)
    c += ldc
    start = start + ld_start if start != NULL else NULL
    store(c, base(start, 0) + c20)
    store(c + LANES, base(start, LANES) + c21)
    c += ldc
    start = start + ld_start if start != NULL else NULL
    store(c, base(start, 0) + c30)
    store(c + LANES, base(start, LANES) + c31)
    c += ldc
    start = start + ld_start if start != NULL else NULL
    store(c, base(start, 0) + c40)
    store(c + LANES, base(start, LANES) + c41)
    c += ldc
    start = start + ld_start if start != NULL else NULL
    store(c, base(start, 0) + c50)
    store(c + LANES, base(start, LANES) + c51)


cdef void partial_tile(
    float* c, Py_ssize_t ldc, const float* start, Py_ssize_t ld_start, const float* a, Py_ssize_t row, Py_ssize_t step,
    const float* b, Py_ssize_t ldb, Py_ssize_t k, Py_ssize_t rows, Py_ssize_t cols,
) noexcept nogil:
    # the same for the right and lower edge of c, where fewer than 6 rows or COLS columns are left
    cdef float whole[ROWS * COLS]
    cdef Py_ssize_t i
    memset(whole, 0, sizeof(whole))
    for i in range(rows if start != NULL else 0):
        memcpy(whole + i * COLS, start + i * ld_start, cols * sizeof(float))
    tile(whole, COLS, whole, COLS, a, row, step, b, ldb, k, rows)
    for i in range(rows):
        memcpy(c + i * ldc, whole + i * COLS, cols * sizeof(float))


cdef void one_row(
    float* c, const float* start, const float* a, Py_ssize_t step, const float* b, Py_ssize_t ldb, Py_ssize_t k,
    Py_ssize_t n,
) noexcept nogil:
    # c (n,) = start (n,), or zero, + a (k,) @ b (k, n): four vectors of c at a time, then one, then the rest of one
    cdef vec c0, c1, c2, c3, x
    cdef Py_ssize_t j = 0, p
    while j + 4 * LANES <= n:
        c0 = c1 = c2 = c3 = splat(0)
        for p in range(k):
            x = splat(a[p * step])
            c0 = c0 + x * load(b + p * ldb + j)
            c1 = c1 + x * load(b + p * ldb + j + LANES)
            c2 = c2 + x * load(b + p * ldb + j + 2 * LANES)
            c3 = c3 + x * load(b + p * ldb + j + 3 * LANES)
        store(c + j, base(start, j) + c0)
        store(c + j + LANES, base(start, j + LANES) + c1)
        store(c + j + 2 * LANES, base(start, j + 2 * LANES) + c2)
        store(c + j + 3 * LANES, base(start, j + 3 * LANES) + c3)
        j += 4 * LANES
    while j + LANES <= n:
        c0 = splat(0)
        for p in range(k):
            c0 = c0 + splat(a[p * step]) * load(b + p * ldb + j)
        store(c + j, base(start, j) + c0)
        j += LANES
    if j < n:
        c0 = splat(0)
        for p in range(k):
            c0 = c0 + splat(a[p * step]) * load_some(b + p * ldb + j, n - j)
        if start != NULL:
            c0 = load_some(start + j, n - j) + c0
        store_some(c + j, c0, n - j)


cdef void pack(
    float* panel, const float* b, Py_ssize_t ldb, bint transposed, Py_ssize_t k, Py_ssize_t cols
) noexcept nogil:
    # panel (k, COLS) = b (k, cols), or the transpose of b (cols, k); columns beyond cols are zero
    cdef Py_ssize_t p, j
    if cols < COLS:
        memset(panel, 0, k * COLS * sizeof(float))
    if transposed:
        for j in range(0, cols // 4 * 4, 4):
            for p in range(0, k // 4 * 4, 4):
                transpose_four(panel + p * COLS + j, COLS, b + j * ldb + p, ldb)
        for j in range(cols):
            for p in range(k // 4 * 4 if j < cols // 4 * 4 else 0, k):
                panel[p * COLS + j] = b[j * ldb + p]
    elif cols == COLS:
        for p in range(k):
            store(panel + p * COLS, load(b + p * ldb))
            store(panel + p * COLS + LANES, load(b + p * ldb + LANES))
    else:
        for p in range(k):
            memcpy(panel + p * COLS, b + p * ldb, cols * sizeof(float))


cdef void multiply(
    float* c, Py_ssize_t ldc, const float* start, Py_ssize_t ld_start, const float* a, Py_ssize_t row, Py_ssize_t step,
    const float* b, Py_ssize_t ldb, bint transposed, Py_ssize_t rows, Py_ssize_t k, Py_ssize_t n,
) noexcept nogil:
    # c (rows, n) = start + a (rows, k) @ b, where b is (k, n), or (n, k) and transposed; k ≤ BATCH. Element (i, p) of a
    # is a[i·row + p·step]. start is (rows, n) with rows ld_start apart; ld_start = 0 repeats one row (a bias); NULL is 0.
    cdef float room[BATCH * COLS + LINE]
    cdef float* panel = <float*>((<size_t>room + 63) & ~<size_t>63)  # at a cache line: a vector that crosses one costs two
    cdef const float* block
    cdef const float* from_
    cdef Py_ssize_t j = 0, i, cols, ld_block, p
    if rows == 1 and not transposed:
        one_row(c, start, a, step, b, ldb, k, n)
        return
    while j < n:
        cols = min(n - j, <Py_ssize_t>COLS)
        # Rows of b that lie a page apart share few cache sets; a copy pays once several tiles use it.
        if transposed or cols < COLS or (rows >= 4 * ROWS and ldb >= 256):
            pack(panel, b + j * ldb if transposed else b + j, ldb, transposed, k, cols)
            block = panel
            ld_block = COLS
        else:
            block = b + j
            ld_block = ldb
        i = 0
        while i < rows:
            from_ = start + i * ld_start + j if start != NULL else NULL
            if rows - i >= ROWS and cols == COLS:
                tile(c + i * ldc + j, ldc, from_, ld_start, a + i * row, row, step, block, ld_block, k, ROWS)
            else:
                partial_tile(c + i * ldc + j, ldc, from_, ld_start, a + i * row, row, step, block, ld_block, k,
                             min(rows - i, <Py_ssize_t>ROWS), cols)
            if block == panel and j + COLS < n and not transposed:
                # Call for the next panel, whose rows no hardware foresees: 5.4 ms instead of 6.3 for 256 rows of
                # 1,024 by 1,024 weights that an update has just gone through.
                for p in range(i * k // rows, min(i + ROWS, rows) * k // rows):
                    prefetch(b + p * ldb + j + COLS)
                    if COLS > LINE:
                        prefetch(b + p * ldb + j + COLS + LINE)
            i += ROWS
        j += COLS


cdef inline vec get(const float* p, Py_ssize_t left) noexcept nogil:
    return load(p) if left >= LANES else load_some(p, left)


cdef inline void put(float* p, vec v, Py_ssize_t left) noexcept nogil:
    if left >= LANES:
        store(p, v)
    else:
        store_some(p, v, left)


cdef void skip_row(
    float* y, const float* start, const uint8_t* x, const uint64_t* nonzero, Py_ssize_t words, const float* w, Py_ssize_t ldw,
    Py_ssize_t n,
) noexcept nogil:
    # y (n,) = start (n,), or zero, + x / 255 @ w (·, n), over those bytes of x only whose bits are set in nonzero (words,).
    # Eight vectors of y at a time, then four, two and one, so that y stays in registers.
    cdef vec c0, c1, c2, c3, c4, c5, c6, c7, v
    cdef const float* row
    cdef uint64_t bits
    cdef Py_ssize_t j = 0, p, e
    while j + 8 * LANES <= n:
        c0 = c1 = c2 = c3 = c4 = c5 = c6 = c7 = splat(0)
        for p in range(words):
            bits = nonzero[p]
            while bits:
                e = CHUNK * p + lowest_bit(bits)
                bits &= bits - 1
                v = splat(UNIT[x[e]])
                row = w + e * ldw + j
                c0 = c0 + v * load(row)
                c1 = c1 + v * load(row + LANES)
                c2 = c2 + v * load(row + 2 * LANES)
                c3 = c3 + v * load(row + 3 * LANES)
                c4 = c4 + v * load(row + 4 * LANES)
                c5 = c5 + v * load(row + 5 * LANES)
                c6 = c6 + v * load(row + 6 * LANES)
                c7 = c7 + v * load(row + 7 * LANES)
        store(y + j, base(start, j) + c0)
        store(y + j + LANES, base(start, j + LANES) + c1)
        store(y + j + 2 * LANES, base(start, j + 2 * LANES) + c2)
        store(y + j + 3 * LANES, base(start, j + 3 * LANES) + c3)
        store(y + j + 4 * LANES, base(start, j + 4 * LANES) + c4)
        store(y + j + 5 * LANES, base(start, j + 5 * LANES) + c5)
        store(y + j + 6 * LANES, base(start, j + 6 * LANES) + c6)
        store(y + j + 7 * LANES, base(start, j + 7 * LANES) + c7)
        j += 8 * LANES
    if j + 4 * LANES <= n:
        c0 = c1 = c2 = c3 = splat(0)
        for p in range(words):
            bits = nonzero[p]
            while bits:
                e = CHUNK * p + lowest_bit(bits)
                bits &= bits - 1
                v = splat(UNIT[x[e]])
                row = w + e * ldw + j
                c0 = c0 + v * load(row)
                c1 = c1 + v * load(row + LANES)
                c2 = c2 + v * load(row + 2 * LANES)
                c3 = c3 + v * load(row + 3 * LANES)
        store(y + j, base(start, j) + c0)
        store(y + j + LANES, base(start, j + LANES) + c1)
        store(y + j + 2 * LANES, base(start, j + 2 * LANES) + c2)
        store(y + j + 3 * LANES, base(start, j + 3 * LANES) + c3)
        j += 4 * LANES
    if j + 2 * LANES <= n:
        c0 = c1 = splat(0)
        for p in range(words):
            bits = nonzero[p]
            while bits:
                e = CHUNK * p + lowest_bit(bits)
                bits &= bits - 1
                v = splat(UNIT[x[e]])
                row = w + e * ldw + j
                c0 = c0 + v * load(row)
                c1 = c1 + v * load(row + LANES)
        store(y + j, base(start, j) + c0)
        store(y + j + LANES, base(start, j + LANES) + c1)
        j += 2 * LANES
    while j < n:
        c0 = splat(0)
        for p in range(words):
            bits = nonzero[p]
            while bits:
                e = CHUNK * p + lowest_bit(bits)
                bits &= bits - 1
                c0 = c0 + splat(UNIT[x[e]]) * get(w + e * ldw + j, n - j)
        put(y + j, c0 if start == NULL else get(start + j, n - j) + c0, n - j)
        j += LANES


cdef void skip_two_rows(
    float* y0, float* y1, const float* start0, const float* start1, const uint8_t* x0, const uint8_t* x1,
    const uint64_t* nonzero0, const uint64_t* nonzero1, Py_ssize_t words, const float* w, Py_ssize_t ldw, Py_ssize_t n,
) noexcept nogil:
    # skip_row for two rows at once: four sums of one row alone would wait for each other. What takes eight vectors is left
    # to skip_row.
    cdef vec c0, c1, c2, c3, d0, d1, d2, d3, u, v
    cdef const float* row
    cdef uint64_t a, b
    cdef Py_ssize_t j = n // (8 * LANES) * (8 * LANES), p, e
    if n - j < 4 * LANES:
        skip_row(y0, start0, x0, nonzero0, words, w, ldw, n)
        skip_row(y1, start1, x1, nonzero1, words, w, ldw, n)
        return
    if j > 0:
        skip_row(y0, start0, x0, nonzero0, words, w, ldw, j)
        skip_row(y1, start1, x1, nonzero1, words, w, ldw, j)
    c0 = c1 = c2 = c3 = d0 = d1 = d2 = d3 = splat(0)
    for p in range(words):
        a, b = nonzero0[p], nonzero1[p]
        while a != 0 and b != 0:
            e = CHUNK * p + lowest_bit(a)
            a &= a - 1
            u = splat(UNIT[x0[e]])
            row = w + e * ldw + j
            c0 = c0 + u * load(row)
            c1 = c1 + u * load(row + LANES)
            c2 = c2 + u * load(row + 2 * LANES)
            c3 = c3 + u * load(row + 3 * LANES)
            e = CHUNK * p + lowest_bit(b)
            b &= b - 1
            v = splat(UNIT[x1[e]])
            row = w + e * ldw + j
            d0 = d0 + v * load(row)
            d1 = d1 + v * load(row + LANES)
            d2 = d2 + v * load(row + 2 * LANES)
            d3 = d3 + v * load(row + 3 * LANES)
        while a:
            e = CHUNK * p + lowest_bit(a)
            a &= a - 1
            u = splat(UNIT[x0[e]])
            row = w + e * ldw + j
            c0 = c0 + u * load(row)
            c1 = c1 + u * load(row + LANES)
            c2 = c2 + u * load(row + 2 * LANES)
            c3 = c3 + u * load(row + 3 * LANES)
        while b:
            e = CHUNK * p + lowest_bit(b)
            b &= b - 1
            v = splat(UNIT[x1[e]])
            row = w + e * ldw + j
            d0 = d0 + v * load(row)
            d1 = d1 + v * load(row + LANES)
            d2 = d2 + v * load(row + 2 * LANES)
            d3 = d3 + v * load(row + 3 * LANES)
    store(y0 + j, base(start0, j) + c0)
    store(y0 + j + LANES, base(start0, j + LANES) + c1)
    store(y0 + j + 2 * LANES, base(start0, j + 2 * LANES) + c2)
    store(y0 + j + 3 * LANES, base(start0, j + 3 * LANES) + c3)
    store(y1 + j, base(start1, j) + d0)
    store(y1 + j + LANES, base(start1, j + LANES) + d1)
    store(y1 + j + 2 * LANES, base(start1, j + 2 * LANES) + d2)
    store(y1 + j + 3 * LANES, base(start1, j + 3 * LANES) + d3)
    j += 4 * LANES
    if j < n:
        skip_row(y0 + j, start0 + j if start0 != NULL else NULL, x0, nonzero0, words, w + j, ldw, n - j)
        skip_row(y1 + j, start1 + j if start1 != NULL else NULL, x1, nonzero1, words, w + j, ldw, n - j)


cdef inline bint skipping_pays(Py_ssize_t nonzero, Py_ssize_t pixels) noexcept nogil:
    # Below half with AVX-512 and three fifths elsewhere, where both passes together cross in scripts/crossing.py:
    # 64 images take 35 and 45 µs at MNIST's 19 % and 79 and 100 when all pixels are multiplied with AVX-512.
    return 2 * nonzero < pixels if LANES > 8 else 5 * nonzero < 3 * pixels


cdef void find_images(
    const uint8_t** images, const Op* op, int at, Py_ssize_t first, Py_ssize_t count
) noexcept nogil:
    # where the pixels a[at] of the samples first to first + count begin
    cdef const uint8_t* x = <const uint8_t*>op.a[at]
    cdef Py_ssize_t i
    for i in range(count):
        images[i] = x + (op.rows[first + i] if op.rows != NULL else first + i) * op.n[1]


cdef inline Py_ssize_t words_of(Py_ssize_t pixels) noexcept nogil:
    return (pixels + CHUNK - 1) // CHUNK


cdef Py_ssize_t find_bits(uint64_t* bits, const uint8_t* x, Py_ssize_t n) noexcept nogil:
    # bits (words of n) = which bytes of x (n,) are not zero; returns how many
    cdef uint8_t rest[CHUNK]
    cdef Py_ssize_t p = 0, nonzero = 0
    while (p + 1) * CHUNK <= n:
        bits[p] = nonzero_bytes(x + p * CHUNK)
        nonzero += count_bits(bits[p])
        p += 1
    if p * CHUNK < n:
        memset(rest, 0, CHUNK)
        memcpy(rest, x + p * CHUNK, n - p * CHUNK)
        bits[p] = nonzero_bytes(rest)
        nonzero += count_bits(bits[p])
    return nonzero


cdef void widen(
    float* band, const uint8_t* const* images, Py_ssize_t p, Py_ssize_t rows, Py_ssize_t cols
) noexcept nogil:
    # band (rows, cols) = the pixels p to p + cols of the images (rows) / 255
    cdef const uint8_t* pixels
    cdef Py_ssize_t i, j
    for i in range(rows):
        pixels = images[i] + p
        for j in range(cols):
            band[i * cols + j] = <float>pixels[j] / <float>255.0


cdef void update(const Op* op, int slot, const float* grad, Py_ssize_t offset, Py_ssize_t count) noexcept nogil:
    # apply the rule in this slot, if there is one, to count floats from offset on, whose gradient is at grad
    if op.update[slot].rule != NULL:
        op.update[slot].rule(&op.update[slot], grad, offset, count)


cdef void dense_forward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # y (n, out) = x (n, in) @ weight (in, out) + bias (out,), as far as the first half of the inputs goes; rest (n, out)
    # is the same of the second half, without the bias; split over halves and their rows, each row's sum over blocks of
    # DEPTH inputs
    cdef float* y = op.a[0]
    cdef float* rest = op.a[1]
    cdef const float* x = op.a[2]
    cdef const float* weight = op.a[3]
    cdef const float* bias = op.a[4]
    cdef Py_ssize_t n_in = op.n[1], n_out = op.n[2], p = 0, stop = half_of(n_in), first, last, width
    cdef const float* start = bias
    cdef int half
    for half in range(2):
        share_of_half(op, half, begin, end, &first, &last)
        while first < last and (p < stop or p == 0):
            width = block_width(stop - p)
            multiply(y + first * n_out, n_out, start, 0 if start == bias else n_out, x + first * n_in + p, n_in, 1,
                     weight + p * n_out, n_out, False, last - first, width, n_out)
            start = y + first * n_out
            p += max(width, 1)
        p, stop, y, start = stop, n_in, rest, NULL


cdef void add_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # y (n, d) += rest (n, d); split over rows
    cdef float* y = op.a[0]
    cdef const float* rest = op.a[1]
    cdef Py_ssize_t i
    for i in range(begin * op.n[1], end * op.n[1]):
        y[i] += rest[i]


cdef int submit_forward(Op* op, float[:, ::1] y, object x, object weight, object bias) except -1:
    # run or note a forward pass in halves: first what each half gives, then their sum
    cdef Op add
    cdef Py_ssize_t n = op.n[0], n_out = op.n[2]
    cdef bint halves = half_of(op.n[1]) < op.n[1]
    rest = bytearray(n * n_out * sizeof(float) if halves else 0)
    op.a[0], op.a[1] = &y[0, 0], <float*>PyByteArray_AS_STRING(rest)
    split_in_halves(op)
    submit(op, (y, rest, x, weight, bias) if recording != NULL else None)
    if halves:
        define(&add, add_loop, SAMPLES, n, n * n_out, 2, 1, 0)
        add.a[0], add.a[1] = op.a[0], op.a[1]
        add.n[0], add.n[1] = n, n_out
        submit(&add, (y, rest) if recording != NULL else None)
    return 0


def dense_forward(float[:, ::1] y, const float[:, ::1] x, const float[:, ::1] weight, const float[::1] bias):
    cdef Op op
    cdef Py_ssize_t n = x.shape[0], n_in = weight.shape[0], n_out = weight.shape[1]
    expect2("dense_forward", "x", n, x.shape[1], n, n_in)
    expect2("dense_forward", "y", y.shape[0], y.shape[1], n, n_out)
    expect("dense_forward", "bias", bias.shape[0], n_out)
    define(&op, dense_forward_loop, SAMPLES, n, n * n_in * n_out, 5, 2, 0b11000)
    op.a[2], op.a[3], op.a[4] = <float*>&x[0, 0], <float*>&weight[0, 0], <float*>&bias[0]
    op.n[0], op.n[1], op.n[2] = n, n_in, n_out
    submit_forward(&op, y, x, weight, bias)


cdef void dense_forward_uint8_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dense_forward for x (n, in) / 255
    cdef float* y = op.a[0]
    cdef const float* bias = op.a[4]
    cdef Py_ssize_t n_in = op.n[1], n_out = op.n[2], p = 0, stop = half_of(n_in), first, last
    cdef int half
    for half in range(2):
        share_of_half(op, half, begin, end, &first, &last)
        while first < last:
            forward_pixels(op, y + first * n_out, bias, first, min(last - first, <Py_ssize_t>BAND), p, stop)
            first += BAND
        p, stop, y, bias = stop, n_in, op.a[1], NULL


cdef void forward_pixels(
    const Op* op, float* y, const float* bias, Py_ssize_t first, Py_ssize_t rows, Py_ssize_t p, Py_ssize_t stop
) noexcept nogil:
    # y (rows, out) = bias (out,), or zero, + the pixels p to stop of the samples from first on / 255 @ those rows of
    # weight, rows ≤ BAND
    cdef float band[BAND * (DEPTH + CHUNK)]
    cdef uint64_t found[BAND * WORDS]
    cdef const uint8_t* images[BAND]
    cdef const float* start = bias
    cdef const float* weight
    cdef float* row
    cdef Py_ssize_t n_in = op.n[1], n_out = op.n[2], ld_start = 0, width, words, count, i, k
    find_images(images, op, 2, first, rows)
    while p < stop or start == bias:
        width = block_width(stop - p)
        words = words_of(width)
        weight = op.a[3] + p * n_out
        count = 0
        for i in range(rows):
            count += find_bits(found + i * words, images[i] + p, width)
            for k in range(words if op.rows == NULL else 0):
                prefetch(images[i] + p + BAND * n_in + k * CHUNK)
        if skipping_pays(count, rows * width):
            for i in range(0, rows - 1, 2):
                row = y + i * n_out
                skip_two_rows(row, row + n_out, start + i * ld_start if start != NULL else NULL,
                              start + (i + 1) * ld_start if start != NULL else NULL, images[i] + p, images[i + 1] + p,
                              found + i * words, found + (i + 1) * words, words, weight, n_out, n_out)
            if rows % 2:
                i = rows - 1
                skip_row(y + i * n_out, start + i * ld_start if start != NULL else NULL, images[i] + p, found + i * words,
                         words, weight, n_out, n_out)
        else:
            widen(band, images, p, rows, width)
            multiply(y, n_out, start, ld_start, band, width, 1, weight, n_out, False, rows, width, n_out)
        start, ld_start = y, n_out
        p += max(width, 1)


def dense_forward_uint8(
    float[:, ::1] y, const unsigned char[:, ::1] x, const float[:, ::1] weight, const float[::1] bias
):
    cdef Op op
    cdef Py_ssize_t n = x.shape[0], n_in = weight.shape[0], n_out = weight.shape[1]
    expect2("dense_forward_uint8", "x", n, x.shape[1], n, n_in)
    expect2("dense_forward_uint8", "y", y.shape[0], y.shape[1], n, n_out)
    expect("dense_forward_uint8", "bias", bias.shape[0], n_out)
    define(&op, dense_forward_uint8_loop, SAMPLES, n, n * n_in * n_out // 4, 5, 2, 0b11000)
    op.gathered, op.lendable = 2, True
    op.a[2], op.a[3], op.a[4] = <float*>&x[0, 0], <float*>&weight[0, 0], <float*>&bias[0]
    op.n[0], op.n[1], op.n[2] = n, n_in, n_out
    submit_forward(&op, y, x, weight, bias)


cdef void dense_backward_input_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dx (n, in) = dy (n, out) @ weight (in, out)ᵀ; split over the rows of dx
    cdef float* dx = op.a[0]
    cdef const float* dy = op.a[1]
    cdef const float* weight = op.a[2]
    cdef Py_ssize_t n_in = op.n[1], n_out = op.n[2]
    cdef Py_ssize_t p = 0
    dx += begin * n_in
    while p < n_out or p == 0:
        multiply(dx, n_in, dx if p > 0 else NULL, n_in, dy + begin * n_out + p, n_out, 1, weight + p, n_out, True,
                 end - begin, min(n_out - p, <Py_ssize_t>DEPTH), n_in)
        p += DEPTH


def dense_backward_input(float[:, ::1] dx, const float[:, ::1] dy, const float[:, ::1] weight):
    cdef Op op
    cdef Py_ssize_t n = dy.shape[0], n_in = weight.shape[0], n_out = weight.shape[1]
    expect2("dense_backward_input", "dy", n, dy.shape[1], n, n_out)
    expect2("dense_backward_input", "dx", dx.shape[0], dx.shape[1], n, n_in)
    define(&op, dense_backward_input_loop, SAMPLES, n, n * n_in * n_out, 3, 1, 0b100)
    op.a[0], op.a[1], op.a[2] = &dx[0, 0], <float*>&dy[0, 0], <float*>&weight[0, 0]
    op.n[0], op.n[1], op.n[2] = n, n_in, n_out
    submit(&op, (dx, dy, weight) if recording != NULL else None)


cdef void column_sums(
    float* total, const float* x, Py_ssize_t n, Py_ssize_t d, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil:
    # total (d,) = sum of the rows of x (n, d), for the columns begin to end
    cdef double sums[64]
    cdef Py_ssize_t j = begin, width, i, k
    while j < end:
        width = min(end - j, <Py_ssize_t>64)
        memset(sums, 0, sizeof(sums))
        for i in range(n):
            for k in range(width):
                sums[k] += x[i * d + j + k]
        for k in range(width):
            total[j + k] = <float>sums[k]
        j += width


cdef void dense_backward_weight_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dweight (in, out) = x (n, in)ᵀ @ dy (n, out), dbias (out,) = sum of dy's rows; split over the rows of dweight. Rows
    # that nobody will look for after their update take turns in the thread's first ones, which so stay in cache.
    cdef float* dweight = op.a[0]
    cdef float* dbias = op.a[1]
    cdef const float* dy = op.a[2]
    cdef const float* x = op.a[3]
    cdef const float* columns
    cdef float* rows_of
    cdef float band[PANEL * BATCH]
    cdef Py_ssize_t n = op.n[0], n_in = op.n[1], n_out = op.n[2], i = begin, rows, s, k, depth, step
    cdef bint keep = op.keep or op.update[0].rule == NULL
    if begin == 0:
        column_sums(dbias, dy, n, n_out, 0, n_out)
        update(op, 1, dbias, 0, n_out)
    while i < end:
        rows = min(end - i, <Py_ssize_t>PANEL)
        rows_of = dweight + (i if keep else first_owned) * n_out
        s = 0
        while s < n or s == 0:
            depth = min(n - s, <Py_ssize_t>BATCH)
            columns, step = x + s * n_in + i, n_in
            # Numbers of a column that lie a page apart share few cache sets; a copy pays once many tiles use it.
            if n_in >= 256 and n_out >= 256:
                for k in range(depth):
                    memcpy(band + k * rows, columns + k * n_in, rows * sizeof(float))
                columns, step = band, rows
            multiply(rows_of, n_out, rows_of if s > 0 else NULL, n_out, columns, 1, step, dy + s * n_out, n_out, False,
                     rows, depth, n_out)
            s += BATCH
        update(op, 0, rows_of, i * n_out, rows * n_out)
        i += PANEL


def dense_backward_weight(float[:, ::1] dweight, float[::1] dbias, const float[:, ::1] dy, const float[:, ::1] x):
    cdef Op op
    cdef Py_ssize_t n = x.shape[0], n_in = dweight.shape[0], n_out = dweight.shape[1]
    expect2("dense_backward_weight", "x", n, x.shape[1], n, n_in)
    expect2("dense_backward_weight", "dy", dy.shape[0], dy.shape[1], n, n_out)
    expect("dense_backward_weight", "dbias", dbias.shape[0], n_out)
    define(&op, dense_backward_weight_loop, WEIGHT_ROWS, n_in, n * n_in * n_out, 4, 2, 0b1110)
    op.grain = PANEL if half_of(n_in) < n_in else 1
    op.takes_updates, op.lendable = 2, op.grain == PANEL
    op.a[0], op.a[1], op.a[2], op.a[3] = &dweight[0, 0], &dbias[0], <float*>&dy[0, 0], <float*>&x[0, 0]
    op.n[0], op.n[1], op.n[2] = n, n_in, n_out
    submit(&op, (dweight, dbias, dy, x) if recording != NULL else None)


cdef void dense_backward_weight_uint8_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dweight (in, out) = (x (n, in) / 255)ᵀ @ dy (n, out), dbias (out,) = sum of dy's rows; split over dweight's rows
    cdef float* dweight = op.a[0]
    cdef float* dbias = op.a[1]
    cdef const float* dy = op.a[2]
    cdef Py_ssize_t n = op.n[0], n_out = op.n[2], p = begin, s, width
    cdef bint keep = op.keep or op.update[0].rule == NULL
    if begin == 0:
        column_sums(dbias, dy, n, n_out, 0, n_out)
        update(op, 1, dbias, 0, n_out)
    while p < end:
        width = min(end - p, <Py_ssize_t>CHUNK)
        fetch_ahead(op, p, width)
        s = 0
        while s < n or s == 0:
            backward_pixels(op, dweight + (p if keep else first_owned) * n_out, dy + s * n_out, s,
                            min(n - s, <Py_ssize_t>BATCH), p, width)
            s += BATCH
        p += CHUNK


cdef void fetch_ahead(const Op* op, Py_ssize_t p, Py_ssize_t width) noexcept nogil:
    # Call for the pixels p to p + width of the coming step's images. An epoch meets its images in no order; to wait for
    # each when its turn comes took 8.6 µs of 100 a step.
    cdef const uint8_t* pixels
    cdef Py_ssize_t i
    if op.ahead == NULL or op.rows == NULL:
        return
    for i in range(op.n[0]):
        pixels = <const uint8_t*>op.a[3] + op.ahead[i] * op.n[1] + p
        prefetch(pixels)
        if <size_t>pixels // 64 != (<size_t>pixels + width - 1) // 64:
            prefetch(pixels + width - 1)


cdef void transpose(
    uint8_t* y, Py_ssize_t ldy, const uint8_t* const* x, Py_ssize_t p, Py_ssize_t width, Py_ssize_t depth
) noexcept nogil:
    # y (width, ldy) = the numbers p to p + width of the rows x (depth) transposed, then zeros; 16 by 16 while that fits
    cdef Py_ssize_t i, s, deep = depth // 16 * 16, wide = width // 16 * 16
    for i in range(width if deep < ldy else 0):
        memset(y + i * ldy + deep, 0, ldy - deep)
    for s in range(0, deep, 16):
        for i in range(0, wide, 16):
            transpose_tile(y + i * ldy + s, ldy, x + s, p + i)
    for s in range(depth):
        for i in range(wide if s < deep else 0, width):
            y[i * ldy + s] = x[s][p + i]


cdef void backward_pixels(
    const Op* op, float* dweight, const float* dy, Py_ssize_t s, Py_ssize_t depth, Py_ssize_t p, Py_ssize_t width
) noexcept nogil:
    # dweight (width, n_out) += (x (depth, width) / 255)ᵀ @ dy (depth, n_out), width ≤ CHUNK, depth ≤ BATCH, for the samples
    # from s and the pixels from p on; the first samples' += is =, and the update follows the last ones'.
    # x is transposed first, so that the samples in which a pixel is nonzero lie side by side
    cdef Py_ssize_t n_out = op.n[2]
    cdef bint first = s == 0, last = s + depth == op.n[0]
    cdef const uint8_t* images[BATCH]
    cdef uint8_t transposed[CHUNK * BATCH]
    cdef float band[BAND * BATCH]
    cdef uint64_t nonzero[CHUNK * WORDS]
    cdef float* row = dweight
    cdef Py_ssize_t words = words_of(depth), stride = words * CHUNK, i, rows, count = 0
    find_images(images, op, 3, s, depth)
    transpose(transposed, stride, images, p, width, depth)
    for i in range(width):
        count += find_bits(nonzero + i * words, transposed + i * stride, stride)
    if skipping_pays(count, width * depth):
        for i in range(0, width - 1, 2):
            row = dweight + i * n_out
            skip_two_rows(row, row + n_out, NULL if first else row, NULL if first else row + n_out,
                          transposed + i * stride, transposed + (i + 1) * stride, nonzero + i * words, nonzero + (i + 1) * words,
                          words, dy, n_out, n_out)
            if last:
                update(op, 0, row, (p + i) * n_out, 2 * n_out)
        if width % 2:
            i = width - 1
            row = dweight + i * n_out
            skip_row(row, NULL if first else row, transposed + i * stride, nonzero + i * words, words, dy, n_out, n_out)
            if last:
                update(op, 0, row, (p + i) * n_out, n_out)
        return
    i = 0
    while i < width:
        rows = min(width - i, <Py_ssize_t>BAND)
        widen(band, images, p + i, depth, rows)
        row = dweight + i * n_out
        multiply(row, n_out, NULL if first else row, n_out, band, 1, rows, dy, n_out, False, rows, depth, n_out)
        i += BAND
    if last:
        update(op, 0, dweight, p * n_out, width * n_out)


def dense_backward_weight_uint8(
    float[:, ::1] dweight, float[::1] dbias, const float[:, ::1] dy, const unsigned char[:, ::1] x
):
    cdef Op op
    cdef Py_ssize_t n = x.shape[0], n_in = dweight.shape[0], n_out = dweight.shape[1]
    expect2("dense_backward_weight_uint8", "x", n, x.shape[1], n, n_in)
    expect2("dense_backward_weight_uint8", "dy", dy.shape[0], dy.shape[1], n, n_out)
    expect("dense_backward_weight_uint8", "dbias", dbias.shape[0], n_out)
    define(&op, dense_backward_weight_uint8_loop, WEIGHT_ROWS, n_in, n * n_in * n_out // 4, 4, 2, 0b1110)
    op.grain = CHUNK
    op.gathered, op.takes_updates, op.lendable = 3, 2, True
    op.a[0], op.a[1], op.a[2], op.a[3] = &dweight[0, 0], &dbias[0], <float*>&dy[0, 0], <float*>&x[0, 0]
    op.n[0], op.n[1], op.n[2] = n, n_in, n_out
    submit(&op, (dweight, dbias, dy, x) if recording != NULL else None)


# == activations =======================================================================================================

cdef void relu_forward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # y (n, d) = x where x > 0, else 0; a NaN stays one; split over rows
    cdef float* y = op.a[0]
    cdef const float* x = op.a[1]
    cdef Py_ssize_t i
    for i in range(begin * op.n[1], end * op.n[1]):
        y[i] = 0 if x[i] <= 0 else x[i]


def relu_forward(float[:, ::1] y, const float[:, ::1] x):
    cdef Op op
    expect2("relu_forward", "y", y.shape[0], y.shape[1], x.shape[0], x.shape[1])
    define(&op, relu_forward_loop, SAMPLES, x.shape[0], x.shape[0] * x.shape[1], 2, 1, 0)
    op.a[0], op.a[1] = &y[0, 0], <float*>&x[0, 0]
    op.n[0], op.n[1] = x.shape[0], x.shape[1]
    submit(&op, (y, x) if recording != NULL else None)


cdef void relu_backward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dx (n, d) = dy where y > 0, else 0; split over rows
    cdef float* dx = op.a[0]
    cdef const float* dy = op.a[1]
    cdef const float* y = op.a[2]
    cdef Py_ssize_t i
    for i in range(begin * op.n[1], end * op.n[1]):
        dx[i] = dy[i] if y[i] > 0 else 0


def relu_backward(float[:, ::1] dx, const float[:, ::1] dy, const float[:, ::1] y):
    cdef Op op
    expect2("relu_backward", "dy", dy.shape[0], dy.shape[1], y.shape[0], y.shape[1])
    expect2("relu_backward", "dx", dx.shape[0], dx.shape[1], y.shape[0], y.shape[1])
    define(&op, relu_backward_loop, SAMPLES, y.shape[0], y.shape[0] * y.shape[1], 3, 1, 0)
    op.a[0], op.a[1], op.a[2] = &dx[0, 0], <float*>&dy[0, 0], <float*>&y[0, 0]
    op.n[0], op.n[1] = y.shape[0], y.shape[1]
    submit(&op, (dx, dy, y) if recording != NULL else None)


cdef void leaky_relu_forward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # y (n, d) = x where x > 0, else slope · x; split over rows
    cdef float* y = op.a[0]
    cdef const float* x = op.a[1]
    cdef float slope = op.s[0]
    cdef Py_ssize_t i
    for i in range(begin * op.n[1], end * op.n[1]):
        y[i] = x[i] if x[i] > 0 else slope * x[i]


def leaky_relu_forward(float[:, ::1] y, const float[:, ::1] x, float slope):
    cdef Op op
    expect2("leaky_relu_forward", "y", y.shape[0], y.shape[1], x.shape[0], x.shape[1])
    define(&op, leaky_relu_forward_loop, SAMPLES, x.shape[0], x.shape[0] * x.shape[1], 2, 1, 0)
    op.a[0], op.a[1] = &y[0, 0], <float*>&x[0, 0]
    op.n[0], op.n[1] = x.shape[0], x.shape[1]
    op.s[0] = slope
    submit(&op, (y, x) if recording != NULL else None)


cdef void leaky_relu_backward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dx (n, d) = dy where x > 0, else slope · dy; split over rows
    cdef float* dx = op.a[0]
    cdef const float* dy = op.a[1]
    cdef const float* x = op.a[2]
    cdef float slope = op.s[0]
    cdef Py_ssize_t i
    for i in range(begin * op.n[1], end * op.n[1]):
        dx[i] = dy[i] if x[i] > 0 else slope * dy[i]


def leaky_relu_backward(float[:, ::1] dx, const float[:, ::1] dy, const float[:, ::1] x, float slope):
    cdef Op op
    expect2("leaky_relu_backward", "dy", dy.shape[0], dy.shape[1], x.shape[0], x.shape[1])
    expect2("leaky_relu_backward", "dx", dx.shape[0], dx.shape[1], x.shape[0], x.shape[1])
    define(&op, leaky_relu_backward_loop, SAMPLES, x.shape[0], x.shape[0] * x.shape[1], 3, 1, 0)
    op.a[0], op.a[1], op.a[2] = &dx[0, 0], <float*>&dy[0, 0], <float*>&x[0, 0]
    op.n[0], op.n[1] = x.shape[0], x.shape[1]
    op.s[0] = slope
    submit(&op, (dx, dy, x) if recording != NULL else None)


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
    return p * float_of((bits_of(shifted) - bits_of(<float>12582912.0) + 127) << 23)


cdef float maximum(const float* x, Py_ssize_t d) noexcept nogil:
    cdef float largest = x[0]
    cdef Py_ssize_t j
    for j in range(1, d):
        largest = x[j] if x[j] > largest else largest
    return largest


cdef double softmax_row(float* probs, const float* logits, float largest, Py_ssize_t d) noexcept nogil:
    # probs (d,) = e^(logits - largest) / their sum; returns the sum
    cdef double total = 0
    cdef float scale
    cdef Py_ssize_t j
    for j in range(d):
        probs[j] = exponential(logits[j] - largest)
    for j in range(d):
        total += probs[j]
    scale = <float>(1 / total)
    for j in range(d):
        probs[j] *= scale
    return total


cdef void softmax_forward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # probs (n, d) = softmax of each row of logits (n, d); split over rows
    cdef float* probs = op.a[0]
    cdef const float* logits = op.a[1]
    cdef Py_ssize_t d = op.n[1], i
    for i in range(begin, end):
        softmax_row(probs + i * d, logits + i * d, maximum(logits + i * d, d), d)


def softmax_forward(float[:, ::1] probs, const float[:, ::1] logits):
    cdef Op op
    expect2("softmax_forward", "probs", probs.shape[0], probs.shape[1], logits.shape[0], logits.shape[1])
    define(&op, softmax_forward_loop, SAMPLES, logits.shape[0] if logits.shape[1] > 0 else 0, 8 * logits.shape[0] * logits.shape[1], 2, 1, 0)
    op.a[0], op.a[1] = &probs[0, 0], <float*>&logits[0, 0]
    op.n[0], op.n[1] = logits.shape[0], logits.shape[1]
    submit(&op, (probs, logits) if recording != NULL else None)


cdef void softmax_backward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dlogits (n, d) = probs · (dprobs - sum over the row of dprobs · probs); split over rows
    cdef float* dlogits = op.a[0]
    cdef const float* dprobs = op.a[1]
    cdef const float* probs = op.a[2]
    cdef Py_ssize_t d = op.n[1], i, j
    cdef double total
    for i in range(begin, end):
        total = 0
        for j in range(i * d, i * d + d):
            total += dprobs[j] * probs[j]
        for j in range(i * d, i * d + d):
            dlogits[j] = probs[j] * (dprobs[j] - <float>total)


def softmax_backward(float[:, ::1] dlogits, const float[:, ::1] dprobs, const float[:, ::1] probs):
    cdef Op op
    expect2("softmax_backward", "dprobs", dprobs.shape[0], dprobs.shape[1], probs.shape[0], probs.shape[1])
    expect2("softmax_backward", "dlogits", dlogits.shape[0], dlogits.shape[1], probs.shape[0], probs.shape[1])
    define(&op, softmax_backward_loop, SAMPLES, probs.shape[0] if probs.shape[1] > 0 else 0, 2 * probs.shape[0] * probs.shape[1], 3, 1, 0)
    op.a[0], op.a[1], op.a[2] = &dlogits[0, 0], <float*>&dprobs[0, 0], <float*>&probs[0, 0]
    op.n[0], op.n[1] = probs.shape[0], probs.shape[1]
    submit(&op, (dlogits, dprobs, probs) if recording != NULL else None)


cdef inline uint64_t split_mix(uint64_t z) noexcept nogil:
    # the output function of SplitMix64 (Steele, Lea and Flood 2014, "Fast Splittable Pseudorandom Number Generators")
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    return z ^ (z >> 31)


cdef void dropout_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # y (n, d) = x / (1 - rate) where element e draws u(seed, step, e) ≥ rate, else 0; split over rows.
    # u is the top 24 bits of output e + 1 of SplitMix64 started at the mix of seed and step
    cdef float* y = op.a[0]
    cdef const float* x = op.a[1]
    cdef float rate = op.s[0], scale = op.s[1], u
    cdef uint64_t golden = <uint64_t>0x9E3779B97F4A7C15, key
    cdef Py_ssize_t e
    key = split_mix(op.seed + <uint64_t>(op.base + op.step + 1) * golden)
    for e in range(begin * op.n[1], end * op.n[1]):
        u = <float>(split_mix(key + <uint64_t>(e + 1) * golden) >> 40) * <float>(1.0 / 16777216)
        y[e] = x[e] * scale if u >= rate else 0


def dropout_forward(float[:, ::1] y, const float[:, ::1] x, float rate, uint64_t seed, Py_ssize_t step):
    cdef Op op
    expect2("dropout_forward", "y", y.shape[0], y.shape[1], x.shape[0], x.shape[1])
    define(&op, dropout_loop, SAMPLES, x.shape[0], 4 * x.shape[0] * x.shape[1], 2, 1, 0)
    op.a[0], op.a[1] = &y[0, 0], <float*>&x[0, 0]
    op.n[0], op.n[1] = x.shape[0], x.shape[1]
    op.s[0], op.s[1] = rate, <float>(1 / (1 - <double>rate))
    op.seed, op.base = seed, step
    submit(&op, (y, x) if recording != NULL else None)


def dropout_backward(float[:, ::1] dx, const float[:, ::1] dy, float rate, uint64_t seed, Py_ssize_t step):
    cdef Op op
    expect2("dropout_backward", "dx", dx.shape[0], dx.shape[1], dy.shape[0], dy.shape[1])
    define(&op, dropout_loop, SAMPLES, dy.shape[0], 4 * dy.shape[0] * dy.shape[1], 2, 1, 0)
    op.a[0], op.a[1] = &dx[0, 0], <float*>&dy[0, 0]
    op.n[0], op.n[1] = dy.shape[0], dy.shape[1]
    op.s[0], op.s[1] = rate, <float>(1 / (1 - <double>rate))
    op.seed, op.base = seed, step
    submit(&op, (dx, dy) if recording != NULL else None)


# == batchnorm =========================================================================================================

# Statistics of a batch are made in two steps: each thread works out those of its own blocks of rows, then all threads
# combine the blocks in order. Blocks do not depend on the number of threads, so neither do the sums; and a thread
# keeps to its own rows, which it has in its cache, on the way to and from these layers.

cdef Py_ssize_t block_bytes(Py_ssize_t n, Py_ssize_t d) noexcept:
    return (n + BLOCK - 1) // BLOCK * 2 * d * <Py_ssize_t>sizeof(double)


cdef void batchnorm_blocks_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # stats (blocks, 2, d) float64 = mean of each block of rows of x (n, d), and sum of squares around it
    cdef double* stats = <double*>op.a[0]
    cdef const float* x = op.a[1]
    cdef Py_ssize_t d = op.n[1], i = begin, rows, r, j
    cdef double* mean
    cdef double* squares
    cdef double centred
    while i < end:
        rows = min(end - i, <Py_ssize_t>BLOCK)
        mean = stats + i // BLOCK * 2 * d
        squares = mean + d
        memset(mean, 0, 2 * d * sizeof(double))
        for r in range(i, i + rows):
            for j in range(d):
                mean[j] += x[r * d + j]
        for j in range(d):
            mean[j] /= rows
        for r in range(i, i + rows):
            for j in range(d):
                centred = x[r * d + j] - mean[j]
                squares[j] += centred * centred
        i += BLOCK


cdef void combine_blocks(
    double* mean, double* squares, const double* stats, Py_ssize_t n, Py_ssize_t d, Py_ssize_t j, Py_ssize_t width
) noexcept nogil:
    # mean and sum of squares (width,) of all n rows, for the columns from j on
    # (Chan, Golub and LeVeque 1983, "Algorithms for Computing the Sample Variance", equation 2.1)
    cdef Py_ssize_t i = 0, rows, k
    cdef const double* block
    cdef double share, delta
    memset(mean, 0, width * sizeof(double))
    memset(squares, 0, width * sizeof(double))
    while i < n:
        rows = min(n - i, <Py_ssize_t>BLOCK)
        block = stats + i // BLOCK * 2 * d + j
        share = <double>rows / (i + rows)
        for k in range(width):
            delta = block[k] - mean[k]
            mean[k] += delta * share
            squares[k] += block[d + k] + delta * delta * i * share
        i += BLOCK


cdef void batchnorm_forward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # x_hat (n, d) = (x - mean) · inv_std, y (n, d) = gamma · x_hat + beta; running_mean and running_var (d,) move by
    # momentum towards the batch's mean and unbiased variance; split over rows, 64 columns at a time
    cdef float* y = op.a[0]
    cdef float* x_hat = op.a[1]
    cdef float* inv_std = op.a[2]
    cdef float* running_mean = op.a[3]
    cdef float* running_var = op.a[4]
    cdef const float* x = op.a[5]
    cdef const float* gamma = op.a[6]
    cdef const float* beta = op.a[7]
    cdef const double* stats = <const double*>op.a[8]
    cdef Py_ssize_t n = op.n[0], d = op.n[1], j = 0, width, i, k, e
    cdef float eps = op.s[1]
    cdef double step = op.s[0]
    cdef double mean[64]
    cdef double squares[64]
    cdef float shift[64]
    cdef float scale[64]
    while j < d:
        width = min(d - j, <Py_ssize_t>64)
        combine_blocks(mean, squares, stats, n, d, j, width)
        for k in range(width):
            shift[k] = <float>mean[k]
            scale[k] = <float>(1 / sqrt(squares[k] / n + eps))
        if begin == 0:
            for k in range(width):
                inv_std[j + k] = scale[k]
                running_mean[j + k] = <float>(running_mean[j + k] + step * (mean[k] - running_mean[j + k]))
                running_var[j + k] = <float>(running_var[j + k] + step * (squares[k] / (n - 1) - running_var[j + k]))
        for i in range(begin, end):
            for k in range(width):
                e = i * d + j + k
                x_hat[e] = (x[e] - shift[k]) * scale[k]
                y[e] = gamma[j + k] * x_hat[e] + beta[j + k]
        j += width


def batchnorm_forward(
    float[:, ::1] y, float[:, ::1] x_hat, float[::1] inv_std, float[::1] running_mean, float[::1] running_var,
    const float[:, ::1] x, const float[::1] gamma, const float[::1] beta, float momentum, float eps,
):
    cdef Op op
    cdef Py_ssize_t n = x.shape[0], d = x.shape[1]
    if n < 2:
        raise ValueError(f"batchnorm_forward: x must have at least 2 rows to have a variance; got {n}")
    expect2("batchnorm_forward", "y", y.shape[0], y.shape[1], n, d)
    expect2("batchnorm_forward", "x_hat", x_hat.shape[0], x_hat.shape[1], n, d)
    expect("batchnorm_forward", "inv_std", inv_std.shape[0], d)
    expect("batchnorm_forward", "running_mean", running_mean.shape[0], d)
    expect("batchnorm_forward", "running_var", running_var.shape[0], d)
    expect("batchnorm_forward", "gamma", gamma.shape[0], d)
    expect("batchnorm_forward", "beta", beta.shape[0], d)
    stats = bytearray(block_bytes(n, d))
    define(&op, batchnorm_blocks_loop, SAMPLES, n, 4 * n * d, 2, 1, 0)
    op.a[0], op.a[1] = <float*>PyByteArray_AS_STRING(stats), <float*>&x[0, 0]
    op.n[0], op.n[1] = n, d
    submit(&op, (stats, x) if recording != NULL else None)
    define(&op, batchnorm_forward_loop, SAMPLES, n, 4 * n * d, 9, 5, 0b111011100)
    op.a[8] = <float*>PyByteArray_AS_STRING(stats)
    op.a[0], op.a[1], op.a[2], op.a[3] = &y[0, 0], &x_hat[0, 0], &inv_std[0], &running_mean[0]
    op.a[4], op.a[5], op.a[6], op.a[7] = &running_var[0], <float*>&x[0, 0], <float*>&gamma[0], <float*>&beta[0]
    op.n[0], op.n[1] = n, d
    op.s[0], op.s[1] = momentum, eps
    submit(&op, (y, x_hat, inv_std, running_mean, running_var, x, gamma, beta) if recording != NULL else None)


cdef void batchnorm_inference_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # y (n, d) = gamma · (x - running_mean) / sqrt(running_var + eps) + beta; split over rows, 64 columns at a time
    cdef float* y = op.a[0]
    cdef const float* x = op.a[1]
    cdef const float* gamma = op.a[2]
    cdef const float* beta = op.a[3]
    cdef const float* running_mean = op.a[4]
    cdef const float* running_var = op.a[5]
    cdef Py_ssize_t d = op.n[1], j = 0, width, i, k
    cdef double eps = op.s[0]
    cdef float scale[64]
    cdef float shift[64]
    while j < d:
        width = min(d - j, <Py_ssize_t>64)
        for k in range(width):
            scale[k] = <float>(gamma[j + k] / sqrt(running_var[j + k] + eps))
            shift[k] = beta[j + k] - running_mean[j + k] * scale[k]
        for i in range(begin, end):
            for k in range(width):
                y[i * d + j + k] = x[i * d + j + k] * scale[k] + shift[k]
        j += width


def batchnorm_inference(
    float[:, ::1] y, const float[:, ::1] x, const float[::1] gamma, const float[::1] beta,
    const float[::1] running_mean, const float[::1] running_var, float eps,
):
    cdef Op op
    cdef Py_ssize_t n = x.shape[0], d = x.shape[1]
    expect2("batchnorm_inference", "y", y.shape[0], y.shape[1], n, d)
    expect("batchnorm_inference", "gamma", gamma.shape[0], d)
    expect("batchnorm_inference", "beta", beta.shape[0], d)
    expect("batchnorm_inference", "running_mean", running_mean.shape[0], d)
    expect("batchnorm_inference", "running_var", running_var.shape[0], d)
    define(&op, batchnorm_inference_loop, SAMPLES, n, n * d, 6, 1, 0b111100)
    op.a[0], op.a[1], op.a[2], op.a[3] = &y[0, 0], <float*>&x[0, 0], <float*>&gamma[0], <float*>&beta[0]
    op.a[4], op.a[5] = <float*>&running_mean[0], <float*>&running_var[0]
    op.n[0], op.n[1] = n, d
    op.s[0] = eps
    submit(&op, (y, x, gamma, beta, running_mean, running_var) if recording != NULL else None)


cdef void batchnorm_products_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # stats (blocks, 2, d) float64 = sums of dy (n, d) and of dy · x_hat over the rows of each block
    cdef double* stats = <double*>op.a[0]
    cdef const float* dy = op.a[1]
    cdef const float* x_hat = op.a[2]
    cdef Py_ssize_t d = op.n[1], i = begin, r, j
    cdef double* sums
    while i < end:
        sums = stats + i // BLOCK * 2 * d
        memset(sums, 0, 2 * d * sizeof(double))
        for r in range(i, min(end, i + BLOCK)):
            for j in range(d):
                sums[j] += dy[r * d + j]
                sums[d + j] += dy[r * d + j] * x_hat[r * d + j]
        i += BLOCK


cdef void batchnorm_backward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dgamma (d,) = sum of dy · x_hat, dbeta (d,) = sum of dy, over the rows;
    # dx (n, d) = gamma · inv_std · (dy - dbeta / n - x_hat · dgamma / n); split over rows, 64 columns at a time
    cdef float* dx = op.a[0]
    cdef float* dgamma = op.a[1]
    cdef float* dbeta = op.a[2]
    cdef const float* dy = op.a[3]
    cdef const float* x_hat = op.a[4]
    cdef const float* gamma = op.a[5]
    cdef const float* inv_std = op.a[6]
    cdef const double* stats = <const double*>op.a[7]
    cdef Py_ssize_t n = op.n[0], d = op.n[1], j = 0, width, i, k, e
    cdef double sums[64]
    cdef double products[64]
    cdef float scale[64]
    cdef float mean_dy[64]
    cdef float mean_product[64]
    while j < d:
        width = min(d - j, <Py_ssize_t>64)
        memset(sums, 0, sizeof(sums))
        memset(products, 0, sizeof(products))
        for i in range((n + BLOCK - 1) // BLOCK):
            for k in range(width):
                sums[k] += stats[i * 2 * d + j + k]
                products[k] += stats[i * 2 * d + d + j + k]
        for k in range(width):
            scale[k] = gamma[j + k] * inv_std[j + k]
            mean_dy[k] = <float>(sums[k] / n)
            mean_product[k] = <float>(products[k] / n)
        if begin == 0:
            for k in range(width):
                dbeta[j + k] = <float>sums[k]
                dgamma[j + k] = <float>products[k]
        for i in range(begin, end):
            for k in range(width):
                e = i * d + j + k
                dx[e] = scale[k] * (dy[e] - mean_dy[k] - x_hat[e] * mean_product[k])
        j += width


def batchnorm_backward(
    float[:, ::1] dx, float[::1] dgamma, float[::1] dbeta, const float[:, ::1] dy, const float[:, ::1] x_hat,
    const float[::1] gamma, const float[::1] inv_std,
):
    cdef Op op
    cdef Py_ssize_t n = dy.shape[0], d = dy.shape[1]
    expect2("batchnorm_backward", "dx", dx.shape[0], dx.shape[1], n, d)
    expect2("batchnorm_backward", "x_hat", x_hat.shape[0], x_hat.shape[1], n, d)
    expect("batchnorm_backward", "dgamma", dgamma.shape[0], d)
    expect("batchnorm_backward", "dbeta", dbeta.shape[0], d)
    expect("batchnorm_backward", "gamma", gamma.shape[0], d)
    expect("batchnorm_backward", "inv_std", inv_std.shape[0], d)
    if n == 0:  # no rows, no part of the work would write these
        dgamma[:] = 0
        dbeta[:] = 0
        return
    stats = bytearray(block_bytes(n, d))
    define(&op, batchnorm_products_loop, SAMPLES, n, 4 * n * d, 3, 1, 0)
    op.a[0], op.a[1], op.a[2] = <float*>PyByteArray_AS_STRING(stats), <float*>&dy[0, 0], <float*>&x_hat[0, 0]
    op.n[0], op.n[1] = n, d
    submit(&op, (stats, dy, x_hat) if recording != NULL else None)
    define(&op, batchnorm_backward_loop, SAMPLES, n, 4 * n * d, 8, 3, 0b11100110)
    op.a[7] = <float*>PyByteArray_AS_STRING(stats)
    op.a[0], op.a[1], op.a[2], op.a[3] = &dx[0, 0], &dgamma[0], &dbeta[0], <float*>&dy[0, 0]
    op.a[4], op.a[5], op.a[6] = <float*>&x_hat[0, 0], <float*>&gamma[0], <float*>&inv_std[0]
    op.n[0], op.n[1] = n, d
    submit(&op, (dx, dgamma, dbeta, dy, x_hat, gamma, inv_std) if recording != NULL else None)


# == loss ==============================================================================================================

cdef int expect_labels(str door, const int64_t[::1] labels, Py_ssize_t classes) except -1:
    cdef Py_ssize_t i
    if recording != NULL:  # a program's labels are gathered when it runs, from labels that were checked before
        return 0
    for i in range(labels.shape[0]):
        if labels[i] < 0 or labels[i] >= classes:
            raise ValueError(f"{door}: labels must lie in 0 … {classes - 1}; got {labels[i]} at row {i}")
    return 0


cdef void softmax_cross_entropy_forward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # probs (n, c) = softmax of each row of logits (n, c);
    # losses (n,) = -weights · sum over the row of target · log probs; split over rows.
    # log probs = logits - largest - log(total), never the logarithm of a rounded probability
    cdef float* losses = op.a[0]
    cdef float* probs = op.a[1]
    cdef const float* logits = op.a[2]
    cdef const int64_t* labels = <const int64_t*>op.a[3]
    cdef const float* weights = op.a[4]
    cdef Py_ssize_t c = op.n[1], i, j
    cdef double smoothing = op.s[0], log_total, mean, loss
    cdef const float* row
    cdef float largest
    for i in range(begin, end):
        row = logits + i * c
        largest = maximum(row, c)
        log_total = log(softmax_row(probs + i * c, row, largest, c))
        loss = (1 - smoothing) * (log_total - (row[labels[i]] - largest))
        if smoothing > 0:
            mean = 0
            for j in range(c):
                mean += row[j] - largest
            loss += smoothing * (log_total - mean / c)
        losses[i] = <float>(weights[i] * loss)


def softmax_cross_entropy_forward(
    float[::1] losses, float[:, ::1] probs, const float[:, ::1] logits, const int64_t[::1] labels,
    const float[::1] weights, float smoothing,
):
    cdef Op op
    cdef Py_ssize_t n = logits.shape[0], c = logits.shape[1]
    expect("softmax_cross_entropy_forward", "losses", losses.shape[0], n)
    expect2("softmax_cross_entropy_forward", "probs", probs.shape[0], probs.shape[1], n, c)
    expect("softmax_cross_entropy_forward", "labels", labels.shape[0], n)
    expect("softmax_cross_entropy_forward", "weights", weights.shape[0], n)
    expect_labels("softmax_cross_entropy_forward", labels, c)
    define(&op, softmax_cross_entropy_forward_loop, SAMPLES, n, 8 * n * c, 5, 2, 0)
    op.gives_losses = True
    op.a[0], op.a[1], op.a[2], op.a[3] = &losses[0], &probs[0, 0], <float*>&logits[0, 0], <float*>&labels[0]
    op.a[4] = <float*>&weights[0]
    op.n[0], op.n[1] = n, c
    op.s[0] = smoothing
    submit(&op, (losses, probs, logits, labels, weights) if recording != NULL else None)


cdef void softmax_cross_entropy_backward_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dlogits (n, c) = weights · (probs - target), target = (1 - smoothing) · one-hot + smoothing / c; split over rows
    cdef float* dlogits = op.a[0]
    cdef const float* probs = op.a[1]
    cdef const int64_t* labels = <const int64_t*>op.a[2]
    cdef const float* weights = op.a[3]
    cdef Py_ssize_t c = op.n[1], i, j
    cdef float smoothing = op.s[0], share = smoothing / c
    for i in range(begin, end):
        for j in range(c):
            dlogits[i * c + j] = weights[i] * (probs[i * c + j] - share)
        j = i * c + labels[i]
        dlogits[j] = weights[i] * (probs[j] - (1 - smoothing + share))


def softmax_cross_entropy_backward(
    float[:, ::1] dlogits, const float[:, ::1] probs, const int64_t[::1] labels, const float[::1] weights,
    float smoothing,
):
    cdef Op op
    cdef Py_ssize_t n = probs.shape[0], c = probs.shape[1]
    expect2("softmax_cross_entropy_backward", "dlogits", dlogits.shape[0], dlogits.shape[1], n, c)
    expect("softmax_cross_entropy_backward", "labels", labels.shape[0], n)
    expect("softmax_cross_entropy_backward", "weights", weights.shape[0], n)
    expect_labels("softmax_cross_entropy_backward", labels, c)
    define(&op, softmax_cross_entropy_backward_loop, SAMPLES, n, n * c, 4, 1, 0)
    op.a[0], op.a[1], op.a[2], op.a[3] = &dlogits[0, 0], <float*>&probs[0, 0], <float*>&labels[0], <float*>&weights[0]
    op.n[0], op.n[1] = n, c
    op.s[0] = smoothing
    submit(&op, (dlogits, probs, labels, weights) if recording != NULL else None)


cdef void accumulate_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # totals (3,) += mass · (sum of losses, share of the weights that lies where the largest probability is the label's,
    # 1); not split
    cdef double* totals = <double*>op.a[0]
    cdef const float* losses = op.a[1]
    cdef const float* probs = op.a[2]
    cdef const int64_t* labels = <const int64_t*>op.a[3]
    cdef const float* weights = op.a[4]
    cdef double mass = (<const double*>op.a[5])[0], loss = 0, hits = 0, total = 0
    cdef Py_ssize_t n = op.n[0], c = op.n[1], i, j, best
    for i in range(n):
        best = i * c
        for j in range(i * c + 1, i * c + c):
            best = j if probs[j] > probs[best] else best
        loss += losses[i]
        hits += weights[i] if best == i * c + labels[i] else 0
        total += weights[i]
    totals[0] += mass * loss
    totals[1] += mass * hits / total if total > 0 else 0
    totals[2] += mass


def accumulate(
    double[::1] totals, const float[::1] losses, const float[:, ::1] probs, const int64_t[::1] labels,
    const float[::1] weights, const double[::1] mass,
):
    cdef Op op
    cdef Py_ssize_t n = probs.shape[0], c = probs.shape[1]
    if c < 1:
        raise ValueError(f"accumulate: probs must have at least 1 column, a class; got {c}")
    expect("accumulate", "totals", totals.shape[0], 3)
    expect("accumulate", "losses", losses.shape[0], n)
    expect("accumulate", "labels", labels.shape[0], n)
    expect("accumulate", "weights", weights.shape[0], n)
    expect("accumulate", "mass", mass.shape[0], 1)
    define(&op, accumulate_loop, WHOLE, 1, n * c, 6, 1, 0b111111)
    op.a[0], op.a[1], op.a[2] = <float*>&totals[0], <float*>&losses[0], <float*>&probs[0, 0]
    op.a[3], op.a[4], op.a[5] = <float*>&labels[0], <float*>&weights[0], <float*>&mass[0]
    op.n[0], op.n[1] = n, c
    submit(&op, (totals, losses, probs, labels, weights, mass) if recording != NULL else None)


# == optimizers ========================================================================================================

cdef void update_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # an update on its own: value (n,), its state and gradient; split over elements
    update(op, 0, op.a[1] + begin, begin, end - begin)


cdef int submit_update(Update* rule, Py_ssize_t n, double lr, tuple arrays) except -1:
    cdef Op op
    define(&op, update_loop, WEIGHT_ROWS, n, 4 * n, 2, 1, 0)
    op.only_updates = True
    op.a[0], op.a[1] = rule.value, rule.grad
    rule.refresh(rule, lr, rule.step)
    op.update[0] = rule[0]
    submit(&op, arrays)
    return 0


cdef void keep_lr(Update* u, double lr, Py_ssize_t step) noexcept nogil:
    u.s[0] = <float>lr


cdef void sgd_rule(const Update* u, const float* grad, Py_ssize_t offset, Py_ssize_t count) noexcept nogil:
    # value -= lr · grad
    cdef float* value = u.value + offset
    cdef vec lr = splat(u.s[0])
    cdef Py_ssize_t i = 0, left
    while i < count:
        left = count - i
        put(value + i, get(value + i, left) - lr * get(grad + i, left), left)
        i += LANES


def sgd_update(float[::1] value, const float[::1] grad, double lr):
    cdef Update u
    memset(&u, 0, sizeof(u))
    expect("sgd_update", "grad", grad.shape[0], value.shape[0])
    u.rule, u.refresh, u.value, u.grad = sgd_rule, keep_lr, &value[0], <float*>&grad[0]
    submit_update(&u, value.shape[0], lr, (value, grad) if recording != NULL else None)


cdef void momentum_rule(const Update* u, const float* grad, Py_ssize_t offset, Py_ssize_t count) noexcept nogil:
    # velocity = momentum · velocity + grad; value -= lr · (on_grad · grad + on_velocity · velocity), where
    # (on_grad, on_velocity) is (0, 1), or (1, momentum) for Nesterov's form
    cdef float* value = u.value + offset
    cdef float* velocity = u.state[0] + offset
    cdef vec lr = splat(u.s[0]), momentum = splat(u.s[1]), on_grad = splat(u.s[2]), on_velocity = splat(u.s[3])
    cdef vec g, v
    cdef Py_ssize_t i = 0, left
    while i < count:
        left = count - i
        g = get(grad + i, left)
        v = momentum * get(velocity + i, left) + g
        put(velocity + i, v, left)
        put(value + i, get(value + i, left) - lr * (on_grad * g + on_velocity * v), left)
        i += LANES


def momentum_update(
    float[::1] value, float[::1] velocity, const float[::1] grad, double lr, double momentum, bint nesterov
):
    cdef Update u
    memset(&u, 0, sizeof(u))
    expect("momentum_update", "velocity", velocity.shape[0], value.shape[0])
    expect("momentum_update", "grad", grad.shape[0], value.shape[0])
    u.rule, u.refresh, u.value, u.grad = momentum_rule, keep_lr, &value[0], <float*>&grad[0]
    u.state[0] = &velocity[0]
    u.s[1], u.s[2], u.s[3] = momentum, nesterov, momentum if nesterov else 1
    submit_update(&u, value.shape[0], lr, (value, velocity, grad) if recording != NULL else None)


cdef void rmsprop_rule(const Update* u, const float* grad, Py_ssize_t offset, Py_ssize_t count) noexcept nogil:
    # square = decay · square + (1 - decay) · grad²; value -= lr · grad / (sqrt(square) + eps)
    cdef float* value = u.value + offset
    cdef float* square = u.state[0] + offset
    cdef vec lr = splat(u.s[0]), decay = splat(u.s[1]), rest = splat(u.s[2]), eps = splat(u.s[3]), g, q
    cdef Py_ssize_t i = 0, left
    while i < count:
        left = count - i
        g = get(grad + i, left)
        q = decay * get(square + i, left) + rest * g * g
        put(square + i, q, left)
        put(value + i, get(value + i, left) - lr * g / (square_root(q) + eps), left)
        i += LANES


def rmsprop_update(
    float[::1] value, float[::1] square, const float[::1] grad, double lr, double decay, double eps
):
    cdef Update u
    memset(&u, 0, sizeof(u))
    expect("rmsprop_update", "square", square.shape[0], value.shape[0])
    expect("rmsprop_update", "grad", grad.shape[0], value.shape[0])
    u.rule, u.refresh, u.value, u.grad = rmsprop_rule, keep_lr, &value[0], <float*>&grad[0]
    u.state[0] = &square[0]
    u.s[1], u.s[2], u.s[3] = decay, 1 - decay, eps
    submit_update(&u, value.shape[0], lr, (value, square, grad) if recording != NULL else None)


cdef void adam_rule(const Update* u, const float* grad, Py_ssize_t offset, Py_ssize_t count) noexcept nogil:
    # m = beta1 · m + (1 - beta1) · grad; v = beta2 · v + (1 - beta2) · grad²;
    # value = keep · value - rate · m / (sqrt(v) + eps'), where keep = 1 - lr · weight_decay and, with both bias
    # corrections taken out of the loop, rate = lr · root / (1 - beta1^step), root = sqrt(1 - beta2^step), eps' = eps · root
    cdef float* value = u.value + offset
    cdef float* m = u.state[0] + offset
    cdef float* v = u.state[1] + offset
    cdef vec keep = splat(u.s[0]), rate = splat(u.s[1]), eps = splat(u.s[2])
    cdef vec beta1 = splat(u.s[3]), rest1 = splat(u.s[4]), beta2 = splat(u.s[5]), rest2 = splat(u.s[6])
    cdef vec g, m1, v1
    cdef Py_ssize_t i = 0, left
    while i < count:
        left = count - i
        g = get(grad + i, left)
        m1 = beta1 * get(m + i, left) + rest1 * g
        v1 = beta2 * get(v + i, left) + rest2 * (g * g)
        put(m + i, m1, left)
        put(v + i, v1, left)
        put(value + i, keep * get(value + i, left) - rate * m1 / (square_root(v1) + eps), left)
        i += LANES


cdef void adam_refresh(Update* u, double lr, Py_ssize_t step) noexcept nogil:
    cdef double beta1 = u.setting[0], beta2 = u.setting[1], root = sqrt(1 - pow(beta2, step))
    u.s[0] = <float>(1 - lr * u.setting[3])
    u.s[1] = <float>(lr * root / (1 - pow(beta1, step)))
    u.s[2] = <float>(u.setting[2] * root)
    u.s[3], u.s[4], u.s[5], u.s[6] = beta1, 1 - beta1, beta2, 1 - beta2


def adam_update(
    float[::1] value, float[::1] m, float[::1] v, const float[::1] grad,
    double lr, double beta1, double beta2, double eps, double weight_decay, Py_ssize_t step,
):
    cdef Update u
    memset(&u, 0, sizeof(u))
    if step < 1:
        raise ValueError(f"adam_update: step must be at least 1, the first update; got {step}")
    expect("adam_update", "m", m.shape[0], value.shape[0])
    expect("adam_update", "v", v.shape[0], value.shape[0])
    expect("adam_update", "grad", grad.shape[0], value.shape[0])
    u.rule, u.refresh, u.value, u.grad = adam_rule, adam_refresh, &value[0], <float*>&grad[0]
    u.state[0], u.state[1] = &m[0], &v[0]
    u.setting[0], u.setting[1], u.setting[2], u.setting[3], u.step = beta1, beta2, eps, weight_decay, step
    submit_update(&u, value.shape[0], lr, (value, m, v, grad) if recording != NULL else None)


cdef void sum_squares_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # squares[k] = sum of grad (n,) squared, in double; not split
    cdef const float* grad = op.a[1]
    cdef double total[4]
    cdef Py_ssize_t n = op.n[0], i = 0
    cdef int e
    memset(total, 0, sizeof(total))
    while i + 4 <= n:
        for e in range(4):
            total[e] += <double>grad[i + e] * grad[i + e]
        i += 4
    for i in range(i, n):
        total[0] += <double>grad[i] * grad[i]
    (<double*>op.a[0])[op.n[1]] = (total[0] + total[1]) + (total[2] + total[3])


def sum_squares(double[::1] squares, const float[::1] grad, Py_ssize_t k):
    cdef Op op
    if not 0 <= k < squares.shape[0]:
        raise ValueError(f"sum_squares: k must lie in 0 … {squares.shape[0] - 1}; got {k}")
    define(&op, sum_squares_loop, WHOLE, 1, grad.shape[0], 2, 1, 0b10)
    op.a[0], op.a[1] = <float*>&squares[0], <float*>&grad[0]
    op.n[0], op.n[1] = grad.shape[0], k
    submit(&op, (squares, grad) if recording != NULL else None)


cdef void clip_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # grad (n,) *= most / norm if norm, the root of the sum of squares (m,), is greater than most; split over elements
    cdef float* grad = op.a[0]
    cdef const double* squares = <const double*>op.a[1]
    cdef double total = 0
    cdef Py_ssize_t i
    cdef vec scale
    for i in range(op.n[1]):
        total += squares[i]
    if not total > <double>op.s[0] * op.s[0]:
        return
    scale = splat(<float>(op.s[0] / sqrt(total)))
    i = begin
    while i < end:
        put(grad + i, scale * get(grad + i, end - i), end - i)
        i += LANES


def clip(float[::1] grad, const double[::1] squares, float most):
    cdef Op op
    define(&op, clip_loop, WEIGHT_ROWS, grad.shape[0], grad.shape[0], 2, 1, 0b10)
    op.a[0], op.a[1] = &grad[0], <float*>&squares[0]
    op.n[0], op.n[1] = grad.shape[0], squares.shape[0]
    op.s[0] = most
    submit(&op, (grad, squares) if recording != NULL else None)


cdef void average_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # average (n,) += rate · (value - average), rate = max(least, 1 / (k + 1)), at the steps start + k · every;
    # at the first of them average = value; split over elements
    cdef float* average = op.a[0]
    cdef const float* value = op.a[1]
    cdef Py_ssize_t past = op.base + op.step - op.n[1], i = begin
    cdef vec rate, old
    if past < 0 or past % op.n[2]:
        return
    if past == 0:
        memcpy(average + begin, value + begin, (end - begin) * sizeof(float))
        return
    rate = splat(max(op.s[0], <float>(1.0 / (past // op.n[2] + 1))))
    while i < end:
        old = get(average + i, end - i)
        put(average + i, old + rate * (get(value + i, end - i) - old), end - i)
        i += LANES


def average_update(
    float[::1] average, const float[::1] value, float least, Py_ssize_t start, Py_ssize_t every, Py_ssize_t step
):
    cdef Op op
    expect("average_update", "average", average.shape[0], value.shape[0])
    if every < 1:
        raise ValueError(f"average_update: every must be at least 1; got {every}")
    define(&op, average_loop, WEIGHT_ROWS, value.shape[0], 2 * value.shape[0] // every, 2, 1, 0)
    op.a[0], op.a[1] = &average[0], <float*>&value[0]
    op.n[0], op.n[1], op.n[2] = value.shape[0], start, every
    op.s[0] = least
    op.base = step
    submit(&op, (average, value) if recording != NULL else None)


# == augmentation ======================================================================================================

# Where a pixel comes from is worked out in integers of 1 / 65,536 pixel, and its brightness in 1 / 256 of what its four
# neighbours differ by: no instruction set rounds those in its own way. Inner loops have STRIP rounds exactly, so that
# compilers make whole vectors of them; what they write beyond a row's end is written over or cleared.

cdef enum:
    SIDE = 64  # largest height and width of an image: what a sample needs then lies on the stack
    STRIP = 16
    LINES = SIDE + STRIP  # longest row with its border, in whole strips
    PAIRS = 5296  # SIDE + 2 such rows, and a strip
    KNOTS = SIDE + 8  # most knots of a displacement field in one direction
    ONE = 65536  # a pixel

cdef enum:  # the places in ``distortion``
    ROTATION
    SCALE
    SHEAR
    SHIFT
    ALPHA
    DISTORTIONS

cdef double MOST[DISTORTIONS]  # keeps every coordinate below 2^31 / 65,536 pixels
MOST[ROTATION], MOST[SCALE], MOST[SHEAR], MOST[SHIFT], MOST[ALPHA] = 3.1416, 0.5, 1, SIDE, 10000

cdef struct Picture:  # what is worked out of one image
    Py_ssize_t h, w
    Py_ssize_t ld  # length of a row with a border of one pixel, in whole strips
    Py_ssize_t top, bottom, left, right  # its first and last row and column with ink
    # A pixel and the one below it, a byte each. Pixel (0, 0) is at ld + 1, around all is a blank border; so the four
    # bytes at a pair are the pixels that a point between them is mixed from.
    uint16_t pairs[PAIRS]


cdef inline double draw(uint64_t key, Py_ssize_t place) noexcept nogil:
    # uniform in -1 … 1, from 24 bits of output place + 1 of SplitMix64 started at key
    cdef uint64_t bits = split_mix(key + <uint64_t>(place + 1) * <uint64_t>0x9E3779B97F4A7C15) >> 40
    return <double>bits * (2.0 / 16777216) - 1


cdef inline uint64_t strip_in(uint8_t* y, uint8_t* seen, const uint8_t* x, const uint8_t* inside) noexcept nogil:
    # y (STRIP,) = what of x lies inside; seen |= y; 0 if there is no ink. Local arrays: nothing else can be written to
    cdef uint64_t words[2]
    cdef uint64_t all_seen[2]
    cdef uint8_t* ink = <uint8_t*>words
    cdef uint8_t* columns = <uint8_t*>all_seen
    cdef int e
    for e in range(STRIP):
        ink[e] = x[e] & inside[e]
    for e in range(STRIP):
        columns[e] = seen[e] | ink[e]
    memcpy(y, words, STRIP)
    memcpy(seen, all_seen, STRIP)
    return words[0] | words[1]


cdef inline void strip_of_pairs(uint16_t* pairs, const uint8_t* row, const uint8_t* below) noexcept nogil:
    cdef uint16_t pair[STRIP]
    cdef int e
    for e in range(STRIP):
        pair[e] = row[e] | below[e] << 8
    memcpy(pairs, pair, sizeof(pair))


cdef bint take_picture(Picture* p, const uint8_t* x) noexcept nogil:
    # put a border around x (h, w), find its ink and make its pairs; False if there is no ink
    cdef uint8_t pixels[SIDE * SIDE + STRIP]
    cdef uint8_t image[PAIRS + LINES]
    cdef uint8_t inside[LINES]
    cdef uint8_t columns[LINES]
    cdef uint64_t ink
    cdef Py_ssize_t i, j, ld = p.ld
    memcpy(pixels, x, p.h * p.w)
    memset(inside, 0, sizeof(inside))
    memset(inside, 255, p.w)
    memset(columns, 0, sizeof(columns))
    memset(image, 0, (p.h + 3) * ld)
    p.top, p.bottom = p.h, -1
    for i in range(p.h):
        ink = j = 0
        while j < p.w:
            ink |= strip_in(image + (i + 1) * ld + 1 + j, columns + j, pixels + i * p.w + j, inside + j)
            j += STRIP
        if ink:
            p.top, p.bottom = min(p.top, i), i
    if p.bottom < 0:
        return False
    p.left, p.right = 0, p.w - 1
    while not columns[p.left]:
        p.left += 1
    while not columns[p.right]:
        p.right -= 1
    i = 0
    while i < (p.h + 2) * ld:
        strip_of_pairs(p.pairs + i, image + i, image + i + ld)
        i += STRIP
    p.pairs[i] = 0  # the right neighbour of the border's last pixel
    return True


cdef void draw_field(
    float* field, const float* taps, Py_ssize_t knots, Py_ssize_t w, uint64_t key
) noexcept nogil:
    # field (knots, w) = random knots (knots, knots), uniform in -1 … 1, times taps (knots, w); rows SIDE apart
    cdef Py_ssize_t k, l, j, place = 0
    cdef uint64_t bits = 0
    cdef float noise[KNOTS]
    cdef vec total
    for k in range(knots):
        for l in range(knots):
            if place % 4 == 0:  # 16 bits make a knot
                bits = split_mix(key + <uint64_t>(place // 4 + 1) * <uint64_t>0x9E3779B97F4A7C15)
            noise[l] = <float>(<int32_t>(bits & 0xFFFF) - 32768) * <float>(1.0 / 32768)
            bits >>= 16
            place += 1
        j = 0
        while j < w:
            total = splat(0)
            for l in range(knots):
                total = total + splat(noise[l]) * load(taps + l * SIDE + j)
            store(field + k * SIDE + j, total)
            j += LANES


cdef void field_row(
    int32_t* shift, const float* field, const float* taps, Py_ssize_t knots, Py_ssize_t i, Py_ssize_t w, float alpha
) noexcept nogil:
    # shift (w,) = alpha · column i of taps (knots, h) times field (knots, w), in 1 / 65,536 pixel
    cdef float pixels[SIDE]
    cdef float most = 4096
    cdef vec total
    cdef Py_ssize_t first = 0, last = knots, k, j
    cdef int e
    while first < last and taps[first * SIDE + i] == 0:  # farther away than the Gaussian reaches
        first += 1
    while first < last and taps[(last - 1) * SIDE + i] == 0:
        last -= 1
    memset(pixels + w, 0, (SIDE - w) * sizeof(float))  # whole vectors are stored, whole strips are read
    j = 0
    while j < w:
        total = splat(0)
        for k in range(first, last):
            total = total + splat(alpha * taps[k * SIDE + i]) * load(field + k * SIDE + j)
        store(pixels + j, total)
        j += LANES
    j = 0
    while j < w:
        for e in range(STRIP):
            pixels[j + e] = pixels[j + e] if pixels[j + e] > -most else -most
            pixels[j + e] = pixels[j + e] if pixels[j + e] < most else most
            shift[j + e] = <int32_t>(pixels[j + e] * ONE)
        j += STRIP


cdef inline void mix_strip(
    uint8_t* y, const uint32_t* fours, const int32_t* right, const int32_t* down
) noexcept nogil:
    # y (STRIP,) = four pixels each, weighted by how far right of and below the first a point lies, in 1 / 256
    cdef int32_t mixed[STRIP]
    cdef uint8_t narrow[STRIP]
    cdef int32_t first, second, upper, lower
    cdef int e
    for e in range(STRIP):
        first, second = fours[e] & 255, fours[e] >> 8 & 255
        upper = (first << 8) + right[e] * (<int32_t>(fours[e] >> 16 & 255) - first)
        lower = (second << 8) + right[e] * (<int32_t>(fours[e] >> 24) - second)
        mixed[e] = ((upper << 8) + down[e] * (lower - upper) + 32768) >> 16
    for e in range(STRIP):  # by itself: with bytes in it, the loop above would be made of vectors of 16 bytes only
        narrow[e] = <uint8_t>mixed[e]
    memcpy(y, narrow, STRIP)


cdef void sample_row(
    uint8_t* y, const Picture* p, int32_t u, int32_t v, int32_t du, int32_t dv, const int32_t* shift_u,
    const int32_t* shift_v, Py_ssize_t count,
) noexcept nogil:
    # y (count,), in whole strips: brightness at (u + j · du + shift_u[j], v + j · dv + shift_v[j]), column and row with
    # the border
    cdef int32_t right[LINES]
    cdef int32_t down[LINES]
    cdef uint32_t place[LINES]
    cdef uint32_t fours[LINES]
    cdef int32_t most_u = <int32_t>(p.w + 1) * ONE, most_v = <int32_t>(p.h + 1) * ONE, ld = <int32_t>p.ld, a, b
    cdef Py_ssize_t j = 0
    cdef int e
    while j < count:
        for e in range(STRIP):
            a = u + e * du + shift_u[j + e]
            b = v + e * dv + shift_v[j + e]
            a = a if a > 0 else 0
            b = b if b > 0 else 0
            a = a if a < most_u else most_u
            b = b if b < most_v else most_v
            place[j + e] = (b >> 16) * ld + (a >> 16)
            right[j + e] = a >> 8 & 255
            down[j + e] = b >> 8 & 255
        u += STRIP * du
        v += STRIP * dv
        j += STRIP
    for j in range(count):
        memcpy(&fours[j], p.pairs + place[j], sizeof(uint32_t))
    j = 0
    while j < count:
        mix_strip(y + j, fours + j, right + j, down + j)
        j += STRIP


cdef void distort(
    uint8_t* y, const Picture* p, const double* most, const float* taps, Py_ssize_t knots, uint64_t key
) noexcept nogil:
    # y (h, w): source = M (target - centre - shift) + centre + field(target), M the inverse of rotation · shear · scale
    cdef uint8_t pixels[SIDE * SIDE + STRIP]
    cdef float fields[2][KNOTS * SIDE]
    cdef int32_t shifts[2][LINES]
    cdef Py_ssize_t top = 0, bottom = p.h, left = 0, count = p.w, i, k  # of rows, and of columns
    cdef double cx = 0.5 * (p.w - 1), cy = 0.5 * (p.h - 1), angle = most[ROTATION] * draw(key, 0)
    cdef double sx = 1 + most[SCALE] * draw(key, 1), sy = 1 + most[SCALE] * draw(key, 2)
    cdef double shear = most[SHEAR] * draw(key, 3)
    cdef double tx = cx + most[SHIFT] * draw(key, 4), ty = cy + most[SHIFT] * draw(key, 5)
    cdef double c = cos(angle), s = sin(angle), low = p.h, high = -1, first = p.w, last = -1, row, column, across, along
    cdef double m00 = (c + s * shear) / sx, m01 = (s - c * shear) / sx, m10 = -s / sy, m11 = c / sy
    cdef int32_t u, v, du = <int32_t>floor(m00 * ONE + 0.5), dv = <int32_t>floor(m10 * ONE + 0.5)
    memset(shifts, 0, sizeof(shifts))
    if knots > 0:
        for k in range(2):
            draw_field(fields[k], taps, knots, p.w, split_mix(key + <uint64_t>(7 + k) * <uint64_t>0x9E3779B97F4A7C15))
    else:  # ink reaches no farther than the corners of its box
        for k in range(4):
            column = sx * ((p.right + 1 if k & 1 else p.left - 1) - cx)
            row = sy * ((p.bottom + 1 if k & 2 else p.top - 1) - cy)
            across, along = tx + c * column + (c * shear - s) * row, ty + s * column + (s * shear + c) * row
            first, last, low, high = min(first, across), max(last, across), min(low, along), max(high, along)
        top, bottom = max(<Py_ssize_t>0, <Py_ssize_t>floor(low)), min(p.h, <Py_ssize_t>floor(high) + 2)
        left = max(<Py_ssize_t>0, <Py_ssize_t>floor(first))
        count = max(<Py_ssize_t>0, min(p.w, <Py_ssize_t>floor(last) + 2) - left)
    count = (count + STRIP - 1) // STRIP * STRIP
    left = max(<Py_ssize_t>0, min(left, p.w - count))  # strips end with the row, or reach into the next, worked out later
    memset(pixels, 0, p.h * p.w)
    for i in range(top, bottom):
        if knots > 0:
            for k in range(2):
                field_row(shifts[k], fields[k], taps, knots, i, p.w, <float>most[ALPHA])
        u = <int32_t>floor((m01 * (i - ty) - m00 * tx + cx) * ONE + 0.5) + ONE + <int32_t>left * du
        v = <int32_t>floor((m11 * (i - ty) - m10 * tx + cy) * ONE + 0.5) + ONE + <int32_t>left * dv
        sample_row(pixels + i * p.w + left, p, u, v, du, dv, shifts[0], shifts[1], count)
    if bottom > top:
        memset(pixels + bottom * p.w, 0, STRIP)
    memcpy(y, pixels, p.h * p.w)


cdef void augment_loop(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # image i of y (n, h · w) = image rows[i] of x, distorted; split over the images of y
    cdef uint8_t* y = <uint8_t*>op.a[0]
    cdef const uint8_t* x = <const uint8_t*>op.a[1]
    cdef const int64_t* rows = <const int64_t*>op.a[2]
    cdef const double* most = <const double*>op.a[4]
    cdef uint64_t golden = <uint64_t>0x9E3779B97F4A7C15
    cdef uint64_t epoch = split_mix(op.seed + <uint64_t>((<const int64_t*>op.a[3])[0] + 1) * golden)
    cdef Py_ssize_t knots = op.n[2] if most[ALPHA] > 0 else 0, longest = max(op.n[0], op.n[1]), d = op.n[0] * op.n[1]
    cdef Py_ssize_t i, k
    cdef float taps[KNOTS * SIDE]  # with room for whole vectors
    cdef Picture picture
    picture.h, picture.w, picture.ld = op.n[0], op.n[1], (op.n[1] + 2 + STRIP - 1) // STRIP * STRIP
    if knots > 0:
        memset(taps, 0, sizeof(taps))
    for k in range(knots):
        memcpy(taps + k * SIDE, op.a[5] + k * longest, longest * sizeof(float))
    for i in range(begin, end):
        if i + 1 < end:  # the next image, which lies anywhere, comes nearer meanwhile
            k = 0
            while k < d:
                prefetch(x + rows[i + 1] * d + k)
                k += 64
        if take_picture(&picture, x + rows[i] * d):
            distort(y + i * d, &picture, most, taps, knots, split_mix(epoch + <uint64_t>(rows[i] + 1) * golden))
        else:
            memset(y + i * d, 0, d)


def augment(
    unsigned char[:, ::1] y, const unsigned char[:, ::1] x, const int64_t[::1] rows, const int64_t[::1] epoch,
    const double[::1] distortion, const float[:, ::1] taps, Py_ssize_t height, Py_ssize_t width, uint64_t seed,
):
    cdef Op op
    cdef Py_ssize_t n = rows.shape[0], d = height * width, k
    if not (1 <= height <= SIDE and 1 <= width <= SIDE):
        raise ValueError(f"augment: images must be at most ({SIDE}, {SIDE}); got ({height}, {width})")
    expect2("augment", "x", x.shape[0], x.shape[1], x.shape[0], d)
    expect2("augment", "y", y.shape[0], y.shape[1], n, d)
    expect("augment", "epoch", epoch.shape[0], 1)
    expect("augment", "distortion", distortion.shape[0], DISTORTIONS)
    expect2("augment", "taps", taps.shape[0], taps.shape[1], taps.shape[0], max(height, width))
    if taps.shape[0] > KNOTS:
        raise ValueError(f"augment: taps must have at most {KNOTS} rows; got {taps.shape[0]}")
    for k in range(DISTORTIONS):
        if not 0 <= distortion[k] <= MOST[k]:
            raise ValueError(f"augment: distortion[{k}] must lie in 0 … {MOST[k]:g}; got {distortion[k]}")
    expect_rows("augment", rows, x.shape[0])
    define(&op, augment_loop, SAMPLES, n, (60 if taps.shape[0] > 0 else 8) * n * d, 6, 1, 0b111110)
    op.a[0], op.a[1], op.a[2] = <float*>&y[0, 0], <float*>&x[0, 0], <float*>&rows[0]
    op.a[3], op.a[4], op.a[5] = <float*>&epoch[0], <float*>&distortion[0], <float*>&taps[0, 0]
    op.n[0], op.n[1], op.n[2] = height, width, taps.shape[0]
    op.seed = seed
    submit(&op, (y, x, rows, epoch, distortion, taps) if recording != NULL else None)


# == measuring =========================================================================================================

def multiply_add(Py_ssize_t count):
    """Do 12 independent vector multiply-adds ``count`` times, in registers alone: the most that a core can do."""
    cdef vec c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11
    cdef vec a = splat(<float>0.999), b = splat(<float>0.001)
    cdef Py_ssize_t i
    cdef float lanes[16]
    cdef uint64_t mode = float_mode_enter()
    c0, c1, c2, c3 = splat(0), splat(1), splat(2), splat(3)  # all different, or the compiler would make them one
    c4, c5, c6, c7 = splat(4), splat(5), splat(6), splat(7)
    c8, c9, c10, c11 = splat(8), splat(9), splat(10), splat(11)
    with nogil:
        for i in range(count):
            c0 = b + a * c0
            c1 = b + a * c1
            c2 = b + a * c2
            c3 = b + a * c3
            c4 = b + a * c4
            c5 = b + a * c5
            c6 = b + a * c6
            c7 = b + a * c7
            c8 = b + a * c8
            c9 = b + a * c9
            c10 = b + a * c10
            c11 = b + a * c11
    store(lanes, c0 + c1 + c2 + c3 + c4 + c5 + c6 + c7 + c8 + c9 + c10 + c11)
    float_mode_leave(mode)
    return lanes[0]
