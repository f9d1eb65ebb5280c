# Op, a kernel with its arguments; and how threads share the work of ops.

ctypedef void (*Loop)(const Op*, Py_ssize_t, Py_ssize_t) noexcept nogil
ctypedef void (*Rule)(const Update*, const float*, Py_ssize_t, Py_ssize_t) noexcept nogil
ctypedef void (*Prepare)(Update*, double) noexcept nogil

cdef enum Axis:  # the items over which a loop is split
    SAMPLES  # rows of its outputs
    WEIGHT_ROWS  # rows of a weight matrix, or elements of a parameter
    HALVES  # blocks of samples for the first half of their inputs, then for the second: see first_half
    UNSPLIT  # one thread computes all

cdef struct Update:  # an optimizer's rule for one parameter
    Rule rule
    Prepare prepare  # computes s from the learning rate and the number of the step
    float* grad
    float* value
    float* state[2]
    float s[8]
    double hyper[4]
    const int64_t* step  # the number of the step, from 1, or NULL

cdef struct Op:  # a kernel with its arguments
    Loop loop
    Axis axis
    Py_ssize_t items  # number of items of the axis
    Py_ssize_t grain  # items per unit; a unit is never split
    Py_ssize_t work  # multiply-adds, roughly
    float* a[9]  # the arrays, in the order of the door's arguments (labels and pixels are cast)
    int arrays
    int outputs  # the first arrays, which are written
    int shared  # bit k: each part of the work accesses a[k] outside its own rows or columns
    Py_ssize_t n[3]  # sizes: rows, then columns
    float s[2]  # scalars
    uint64_t seed
    const int64_t* step  # the number of the step, from 1, or NULL
    Update update[2]  # rules to apply to the gradients a[0] and a[1] once they are computed
    bint keep_gradient  # store gradients even after their rule is applied
    # For programs, set where an op is defined; all are optional.
    bint is_gather  # copies the rows a[2] of a[1] to a[0]
    int gathered_input  # index of an input that may be read at its source instead, by rows; 0 for none
    bint is_update  # is one optimizer update
    int fusable_updates  # the first outputs are gradients, and the op can apply their updates
    bint has_losses  # a[0] are the losses of n[0] samples; a step ends here if they are not finite
    bint stealable  # its units are long and equal enough for work stealing
    const int64_t* rows  # indices of the samples in the pixels; NULL: in order
    const int64_t* next_rows  # indices of the samples of the next step, or NULL
    bint bypassed  # a gather whose reader reads the source; it is omitted if no other op reads its rows
    int stage
    bint stealing  # threads steal units of each other's parts

cdef struct Stage:  # ops that threads run together, without waiting for each other
    const Op* ops
    Py_ssize_t count
    int parts  # number of queues that are filled, one per part
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
    # run the units of this part, then steal those that other parts have not started: cores differ in speed
    cdef Py_ssize_t unit
    cdef int k
    for k in range(parts):
        if k > 0 and first_owned + op.grain > op.items:  # no room for the gradient of a stolen unit
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
    # the samples of this half among the items begin to end. Items are blocks of samples, first those of the first half;
    # or samples, if all inputs are in the first half
    cdef Py_ssize_t before = half * block_count(op.n[0])
    if op.axis == SAMPLES:
        first[0], last[0] = begin, end if half == 0 else begin
    else:
        first[0] = min(max(begin - before, 0) * SAMPLE_BLOCK, op.n[0])
        last[0] = min(max(end - before, 0) * SAMPLE_BLOCK, op.n[0])


cdef inline void split_in_halves(Op* op) noexcept nogil:
    # split an op on n[0] samples of n[1] inputs over halves; over samples if there is one half
    cdef bint halves = first_half(op.n[1]) < op.n[1]
    op.axis = HALVES if halves else SAMPLES
    op.items = 2 * block_count(op.n[0]) if halves else op.n[0]
    op.grain = 1 if halves else SAMPLE_BLOCK


cdef void apply_update(const Op* op, int slot, const float* grad, Py_ssize_t offset, Py_ssize_t count) noexcept nogil:
    # apply the rule in this slot, if there is one, to the floats offset to offset + count; grad points to their
    # gradients
    if op.update[slot].rule != NULL:
        op.update[slot].rule(&op.update[slot], grad, offset, count)
