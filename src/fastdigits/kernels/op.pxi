# Op, one kernel with its arguments bound: what it is made of, and how threads share its work.

ctypedef void (*Loop)(const Op*, Py_ssize_t, Py_ssize_t) noexcept nogil
ctypedef void (*Rule)(const Update*, const float*, Py_ssize_t, Py_ssize_t) noexcept nogil
ctypedef void (*Prepare)(Update*, double) noexcept nogil

cdef enum Axis:  # what the items are that a loop is split over
    SAMPLES  # rows of its outputs
    WEIGHT_ROWS  # rows of a weight matrix, or elements of a parameter
    HALVES  # blocks of samples for the first half of their numbers, then for the second: see half_of
    UNSPLIT  # nothing: it is not split

cdef struct Update:  # an optimizer's rule for one parameter
    Rule rule
    Prepare prepare  # computes s from what changes with every step: the learning rate and the step's number
    float* grad
    float* value
    float* state[2]
    float s[8]
    double hyper[4]
    const int64_t* step  # where the number of the step is, from 1, or NULL

cdef struct Op:  # one kernel with its arguments bound
    Loop loop
    Axis axis
    Py_ssize_t items  # how many rows or columns the work may be split into …
    Py_ssize_t grain  # … and how many of them stay together
    Py_ssize_t work  # multiply-adds, roughly
    float* a[9]  # the arrays, in the order of the door's arguments (labels and pixels are cast)
    int arrays
    int outputs  # how many of them, from the first on, are written
    int shared  # bit k: a part of the work touches more of a[k] than its own rows or columns
    Py_ssize_t n[3]  # sizes: rows, then columns
    float s[2]  # scalars
    uint64_t seed
    const int64_t* step  # where the number of the step is, from 1, or NULL
    Update update[2]  # rules to apply to the gradients a[0] and a[1] as soon as they are known
    bint keep_gradient  # whether a gradient that goes through its rule must be found in its array afterwards
    # What a program needs to know of an op stands in these, set where the op is defined; by default it needs nothing.
    bint is_gather  # whether it only copies the rows a[2] of a[1] to a[0] …
    int gathered_input  # … and which array, if one, may be replaced by what it was gathered from: see rows; 0 for none
    bint is_update  # whether it is an optimizer's update by itself …
    int fusable_updates  # … and how many of its outputs, from the first on, are gradients whose updates it can do
    bint has_losses  # whether a[0] are the losses of the n[0] samples, after which a step may end
    bint stealable  # whether its units are long and alike enough for threads to take over each other's
    const int64_t* rows  # which rows of its pixels the samples are, or NULL: one after the other …
    const int64_t* next_rows  # … and which they are in the coming step, or NULL
    bint skipped  # whether a gathering op is left out, as those who want its rows look them up themselves
    int stage
    bint stealing  # whether a thread may take over units of another one's share

cdef struct Stage:  # what threads share while they run a stage of a program
    const Op* ops
    Py_ssize_t count
    int parts  # into which the op that lends is cut
    pool_queue queues[POOL_QUEUES]


cdef void run_part(void* context, int part, int parts) noexcept nogil:
    global first_owned
    cdef Stage* stage = <Stage*>context
    cdef const Op* op
    cdef Py_ssize_t i, begin, end
    cdef uint64_t mode = float_mode_enter()
    for i in range(stage.count):
        op = &stage.ops[i]
        begin = unit_count(op) * part // parts
        end = unit_count(op) * (part + 1) // parts
        first_owned = begin * op.grain
        if begin == end:
            continue
        if op.stealing and parts > 1 and parts == stage.parts:
            run_units(op, stage, part, parts)
        else:
            op.loop(op, begin * op.grain, min(end * op.grain, op.items))
    float_mode_leave(mode)


cdef inline Py_ssize_t unit_count(const Op* op) noexcept nogil:
    return (op.items + op.grain - 1) // op.grain


cdef void run_units(const Op* op, Stage* stage, int part, int parts) noexcept nogil:
    # the units of this part one by one, then what others have not begun: a core may be slower than another
    cdef Py_ssize_t unit
    cdef int k
    for k in range(parts):
        if k > 0 and first_owned + op.grain > op.items:  # its own share could not hold the gradient of a whole unit
            break
        while True:
            unit = queue_pop(&stage.queues[part]) if k == 0 else queue_steal(&stage.queues[(part + k) % parts])
            if unit < 0:
                break
            op.loop(op, unit * op.grain, min((unit + 1) * op.grain, op.items))


cdef void init_op(
    Op* op, Loop loop, Axis axis, Py_ssize_t items, Py_ssize_t work, int arrays, int outputs, int shared
) noexcept nogil:
    memset(op, 0, sizeof(Op))
    op.loop, op.axis, op.items, op.work = loop, axis, items, work
    op.grain = SAMPLE_BLOCK if axis == SAMPLES else 1
    op.keep_gradient = True
    op.arrays, op.outputs, op.shared = arrays, outputs, shared


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


cdef inline void samples_of_half(
    const Op* op, int half, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t* first, Py_ssize_t* last
) noexcept nogil:
    # which samples of this half are among the items begin to end: blocks of them, those of the first half first; or
    # samples, where all inputs are in the first half
    cdef Py_ssize_t before = half * block_count(op.n[0])
    if op.axis == SAMPLES:
        first[0], last[0] = begin, end if half == 0 else begin
    else:
        first[0] = min(max(begin - before, 0) * SAMPLE_BLOCK, op.n[0])
        last[0] = min(max(end - before, 0) * SAMPLE_BLOCK, op.n[0])


cdef inline void split_in_halves(Op* op) noexcept nogil:
    # an op on n[0] samples of n[1] numbers: over both halves, or over samples where there is one
    cdef bint halves = first_half(op.n[1]) < op.n[1]
    op.axis = HALVES if halves else SAMPLES
    op.items = 2 * block_count(op.n[0]) if halves else op.n[0]
    op.grain = 1 if halves else SAMPLE_BLOCK


cdef void apply_update(const Op* op, int slot, const float* grad, Py_ssize_t offset, Py_ssize_t count) noexcept nogil:
    # apply the rule in this slot, if there is one, to count floats from offset on, whose gradient is at grad
    if op.update[slot].rule != NULL:
        op.update[slot].rule(&op.update[slot], grad, offset, count)
