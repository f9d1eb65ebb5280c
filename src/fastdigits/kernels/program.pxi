# Programs: ops that are recorded once and run many times, without the interpreter between them.

cdef int threads = 1
cdef pool_choice eager_choice  # whether the ops that doors submit one by one are shared

cdef struct ChoiceSlot:  # what programs of so much work a step, with so many threads, have learned, for those after them
    Py_ssize_t work
    int threads
    pool_choice choice

cdef ChoiceSlot choice_slots[CHOICE_SLOTS]


def reset_sharing():
    """Forget what was learned of whether sharing work pays, as if nothing had run yet."""
    memset(&eager_choice, 0, sizeof(eager_choice))
    memset(choice_slots, 0, sizeof(choice_slots))


reset_sharing()


def set_threads(int n):
    """Let a door that is called outside a program use up to ``n`` threads; more work is needed for each."""
    global threads
    if n < 1:
        raise ValueError(f"set_threads: n must be at least 1; got {n}")
    threads = n


cdef int submit(Op* op, tuple arrays) except -1:
    # the end of every door: run the op now, or give it to the program that called the door
    cdef Stage stage
    cdef int parts = <int>min(<Py_ssize_t>threads, 1 + op.work // WORK_PER_WAKEUP)
    cdef int64_t begin
    if recording != NULL:
        (<Program>recording).record(op, arrays)
        return 0
    stage.ops = op
    stage.count = 1
    stage.parts = 0
    if parts == 1:
        with nogil:
            pool_run(run_part, &stage, 1)
        return 0
    if pool_is_serial(&eager_choice):
        parts = 1
    begin = pool_clock()
    with nogil:
        pool_run(run_part, &stage, parts)
    pool_measure(&eager_choice, pool_clock() - begin, <double>op.work)
    return 0


def advance(int64_t[::1] count):
    """Count one more step. A program that records this counts each step that it completes."""
    expect("advance", "count", count.shape[0], 1)
    if recording != NULL:
        (<Program>recording).record_count(count)
    else:
        count[0] += 1


cdef bint accesses(const Op* op, const float* array, bint* written, bint* shared) noexcept nogil:
    # whether op reads or writes this array, itself or by its updates
    cdef int k, u
    cdef bint found = False
    for k in range(op.arrays):
        if op.a[k] == array:
            found = True
            written[0] |= k < op.outputs
            shared[0] |= op.shared >> k & 1
        for u in range(2):
            if op.update[u].rule != NULL and op.update[u].grad == op.a[k] and op.update[u].value == array:
                found = written[0] = True
                shared[0] |= op.shared >> k & 1
    return found


# Threads do not wait for each other within a stage: an array that one op writes and another one touches must be split
# alike in both, and each part of them must stay within its own share. Otherwise the later op needs a later stage. To
# place an op takes the last stages of each way in which an array was touched, not a look at each op before it: a
# network of 600 layers has thousands.

cdef struct Access:  # what happened to one array so far, by ops that are split alike; and the next way of splitting
    Axis axis
    Py_ssize_t items
    Py_ssize_t grain
    int last[2][2]  # the last stage, or -1, in which it was [only read, written] by ops that stay [within, by_shared] parts
    Py_ssize_t next


cdef inline const void* array_at(const Op* op, int k) noexcept nogil:
    # the arrays that an op touches: its own, then those that its updates change
    if k < op.arrays:
        return op.a[k]
    return op.update[k - op.arrays].value if op.update[k - op.arrays].rule != NULL else NULL


cdef int compare_arrays(const void* a, const void* b) noexcept nogil:
    cdef size_t first = (<const size_t*>a)[0], second = (<const size_t*>b)[0]
    return (first > second) - (first < second)


cdef Py_ssize_t index_of(const size_t* sorted_, Py_ssize_t count, const void* array) noexcept nogil:
    # where an array stands among those in order
    cdef Py_ssize_t low = 0, middle
    while low < count:
        middle = (low + count) // 2
        if sorted_[middle] < <size_t>array:
            low = middle + 1
        else:
            count = middle
    return low


cdef int earliest_stage(const Access* access, Py_ssize_t at, const Op* op, bint written, bint shared) noexcept nogil:
    # the first stage in which op may touch an array that was touched so
    cdef int stage = 0, by_write, by_shared, last
    cdef bint alike
    while at >= 0:
        alike = access[at].axis == op.axis and access[at].items == op.items and access[at].grain == op.grain
        for by_write in range(0 if written else 1, 2):
            for by_shared in range(2):
                last = access[at].last[by_write][by_shared]
                if last >= 0:
                    stage = max(stage, last if alike and not shared and not by_shared else last + 1)
        at = access[at].next
    return stage


cdef int update_slot(const Op* op, const float* grad) noexcept nogil:
    # where an op that makes this gradient wants the rule for it, or -1
    cdef int slot
    for slot in range(op.fusable_updates):
        if op.a[slot] == grad:
            return slot
    return -1


cdef bint all_finite(const float* x, Py_ssize_t n) noexcept nogil:
    cdef double total = 0
    cdef Py_ssize_t i
    for i in range(n):
        total += x[i]
    return isfinite(total)


cdef inline void rebind(float*** uses, float* array) noexcept nogil:
    while uses[0] != NULL:
        uses[0][0] = array
        uses += 1


@cython.final
cdef class Program:
    """Kernels bound to their arrays, run step after step without the interpreter.

    ``with program as doors:`` records: each door that is called as ``doors.relu_forward(y, x)`` is noted instead of run.
    What one step of training calls is then what ``run`` repeats. What changes from step to step comes from outside:
    ``rows`` (which samples the step is about) and the learning rate. A step moves the counts that were input_bindings to
    ``advance``, unless its loss is not finite; so an optimizer and its count agree, whatever happens between two steps.
    Doors of the module run as always meanwhile, in this thread as in others.

    Ops are sorted into stages; within a stage, threads need not wait for each other. An optimizer's update that follows
    the op which makes its gradient becomes part of that op: it is applied while the gradient is in cache.

    Parameters
    ----------
    rows : ndarray of int64, shape (n,)
        The buffer from which the gathering kernels learn which samples the step is about; ``run`` fills it.
    """

    cdef Op* ops
    cdef Py_ssize_t count, capacity
    cdef int64_t** counts  # that each step moves
    cdef Py_ssize_t n_counts
    cdef bint is_recording
    cdef list references
    cdef int64_t[::1] rows
    cdef Py_ssize_t row_count  # of the arrays that rows are gathered from, the shortest
    cdef const float* losses  # of the samples, and the stage after which they are valid
    cdef Py_ssize_t n_losses
    cdef int loss_stage
    cdef float** output_bindings[MAX_BINDINGS]  # where the arrays stand that answer replaces, then NULL
    cdef float** input_bindings[MAX_BINDINGS]
    cdef Py_ssize_t output_bytes, input_bytes
    cdef Py_ssize_t work  # of a step
    cdef pool_choice choice  # whether steps are shared: a copy of the habit while they run

    def __cinit__(self, int64_t[::1] rows not None):
        self.ops = NULL
        self.counts = NULL
        self.count = self.capacity = self.n_counts = 0
        self.is_recording = False
        self.references = []
        self.rows = rows
        self.row_count = PY_SSIZE_T_MAX
        self.losses = NULL
        self.input_bindings[0] = NULL
        self.work = 0

    def __dealloc__(self):
        PyMem_Free(self.ops)
        PyMem_Free(self.counts)

    def __len__(self):
        return self.count

    @property
    def stages(self):
        """How many times a step makes the threads wait for each other."""
        return 1 + self.ops[self.count - 1].stage if self.count else 0

    def __enter__(self):
        if self.count or self.is_recording:
            raise RuntimeError("Program: this program is recorded already; make a new one")
        self.is_recording = True
        return Recording.__new__(Recording, self)

    def __exit__(self, kind, error, traceback):
        self.is_recording = False
        if kind is not None:
            self.count = self.n_counts = 0
            return
        try:
            self.schedule()
        except BaseException:
            self.count = self.n_counts = 0
            raise

    cdef int schedule(self) except -1:
        # give each op its stage, and each update to the op that makes its gradient; n log n for n ops
        cdef Py_ssize_t i, uses = 0, arrays = 0
        cdef int k
        cdef size_t* sorted_
        if self.count == 0:
            return 0
        for i in range(self.count):
            uses += self.ops[i].arrays + 2
        sorted_ = <size_t*>PyMem_Malloc(uses * (sizeof(size_t) + sizeof(Py_ssize_t) + sizeof(Access)))
        if sorted_ == NULL:
            raise MemoryError()
        try:
            uses = 0
            for i in range(self.count):
                for k in range(self.ops[i].arrays + 2):
                    if array_at(&self.ops[i], k) != NULL:
                        sorted_[uses] = <size_t>array_at(&self.ops[i], k)
                        uses += 1
            qsort(sorted_, uses, sizeof(size_t), compare_arrays)
            for i in range(uses):
                if i == 0 or sorted_[i] != sorted_[arrays - 1]:
                    sorted_[arrays] = sorted_[i]
                    arrays += 1
            self.fuse_updates(sorted_, arrays, <Py_ssize_t*>(sorted_ + uses))
            self.assign_stages(sorted_, arrays, <Py_ssize_t*>(sorted_ + uses), <Access*>(sorted_ + 2 * uses))
            self.sort_by_stage()
        finally:
            PyMem_Free(sorted_)
        for i in range(self.count):
            self.ops[i].stealing = self.may_steal(i)
            self.work += self.ops[i].work
        return 0

    cdef void fuse_updates(self, const size_t* sorted_, Py_ssize_t arrays, Py_ssize_t* last) noexcept:
        # Give each update to the last op that touches its gradient, if that op makes it and knows what to do with it, and
        # if nobody after that op still wants the old value; leave out what nobody reads. last: who touched an array last.
        cdef Py_ssize_t i, value, producer, kept = 0
        cdef int k, slot
        cdef Op* op
        for i in range(arrays):
            last[i] = -1
        for i in range(self.count):
            op = &self.ops[i]
            if op.is_update:
                value = index_of(sorted_, arrays, op.update[0].value)
                producer = last[index_of(sorted_, arrays, op.update[0].grad)]
                slot = update_slot(&self.ops[producer], op.update[0].grad) if producer >= last[value] and producer >= 0 else -1
                if slot >= 0 and self.ops[producer].update[slot].rule == NULL:
                    self.ops[producer].update[slot] = op.update[0]
                    last[value] = producer
                    op.loop = NULL
                    continue
            for k in range(op.arrays + 2):
                if array_at(op, k) != NULL:
                    last[index_of(sorted_, arrays, array_at(op, k))] = i
        for i in range(self.count):
            op = &self.ops[i]
            if op.loop != NULL and not (op.skipped and last[index_of(sorted_, arrays, op.a[0])] == i):
                self.ops[kept] = op[0]
                kept += 1
        self.count = kept

    cdef void assign_stages(self, const size_t* sorted_, Py_ssize_t arrays, Py_ssize_t* first, Access* records) noexcept:
        # the first stage of each op in which nothing that it touches is still in work; first: the Touch of each array
        cdef Py_ssize_t i, at, array, count = 0
        cdef int k
        cdef bint written, shared
        cdef Op* op
        for i in range(arrays):
            first[i] = -1
        for i in range(self.count):
            op = &self.ops[i]
            op.stage = 0
            for k in range(op.arrays + 2):
                if array_at(op, k) != NULL:
                    written = shared = False
                    accesses(op, <const float*>array_at(op, k), &written, &shared)
                    at = first[index_of(sorted_, arrays, array_at(op, k))]
                    op.stage = max(op.stage, earliest_stage(records, at, op, written, shared))
            for k in range(op.arrays + 2):
                if array_at(op, k) == NULL:
                    continue
                written = shared = False
                accesses(op, <const float*>array_at(op, k), &written, &shared)
                array = index_of(sorted_, arrays, array_at(op, k))
                at = first[array]
                while at >= 0 and not (
                    records[at].axis == op.axis and records[at].items == op.items and records[at].grain == op.grain
                ):
                    at = records[at].next
                if at < 0:
                    at = count
                    count += 1
                    records[at].axis, records[at].items, records[at].grain = op.axis, op.items, op.grain
                    memset(records[at].last, -1, sizeof(records[at].last))
                    records[at].next, first[array] = first[array], at
                records[at].last[written][shared] = max(records[at].last[written][shared], op.stage)
            if op.has_losses:  # updates come later: they need all of dlogits
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

    cdef bint may_steal(self, Py_ssize_t position) noexcept:
        # The first layer's passes and wide weight gradients, the long ones, one per stage: unless another op of the stage
        # has to do with the same arrays, and so relies on who works on which part of them.
        cdef Op* op = &self.ops[position]
        cdef Py_ssize_t i
        cdef int k
        cdef bint written, shared
        if not op.stealable:
            return False
        i = position
        while i > 0 and self.ops[i - 1].stage == op.stage:
            i -= 1
        while i < self.count and self.ops[i].stage == op.stage:
            for k in range(op.arrays if i != position else 0):
                if accesses(&self.ops[i], op.a[k], &written, &shared):
                    return False
            if i < position and self.ops[i].stealing:
                return False
            i += 1
        return True

    cdef int record(self, Op* op, tuple arrays) except -1:
        cdef Op* larger
        cdef Py_ssize_t capacity
        if self.count == self.capacity:
            capacity = 2 * self.capacity + 16
            larger = <Op*>PyMem_Realloc(self.ops, capacity * sizeof(Op))
            if larger == NULL:
                raise MemoryError()
            self.ops, self.capacity = larger, capacity
        self.references.append(arrays)
        self.bypass_gather(op)
        self.ops[self.count] = op[0]
        self.count += 1
        return 0

    cdef int record_count(self, int64_t[::1] count) except -1:
        cdef int64_t** larger = <int64_t**>PyMem_Realloc(self.counts, (self.n_counts + 1) * sizeof(int64_t*))
        if larger == NULL:
            raise MemoryError()
        self.counts = larger
        self.references.append(count)
        larger[self.n_counts] = &count[0]
        self.n_counts += 1
        return 0

    cdef void bypass_gather(self, Op* op) noexcept:
        # let the first layer look its rows up where they are gathered from
        cdef Py_ssize_t i
        if op.gathered_input == 0:
            return
        for i in range(self.count):
            if self.ops[i].is_gather and self.ops[i].a[0] == op.a[op.gathered_input]:
                op.a[op.gathered_input], op.rows = self.ops[i].a[1], <const int64_t*>self.ops[i].a[2]
                self.ops[i].skipped = True

    def run(self, const int64_t[::1] order, const double[::1] lrs, int threads=1):
        """Take one step for each learning rate; step i is about the samples ``order[i·n : (i + 1)·n]``.

        Parameters
        ----------
        order : ndarray of int64, shape (len(lrs) · n,)
            Which samples, in which order.
        lrs : ndarray of float64
            The learning rate of each step.
        threads : int
            How many threads may share a step. The result does not depend on it.

        Returns
        -------
        int
            How many steps were completed: fewer than asked for if the next one's loss was not finite. That step has
            changed no parameter and no count.

        Raises
        ------
        ValueError
            If a number in ``order`` is not that of a sample; the steps before the one that meets it were taken.
        """
        cdef Py_ssize_t n = self.rows.shape[0], steps = lrs.shape[0], done = 0, i
        cdef int64_t wrong = 0
        cdef bint valid = True
        cdef const int64_t* next_rows
        threads = self.load_choice(threads, steps)
        if order.shape[0] != steps * n:
            raise ValueError(f"Program.run: order must be ({steps * n},), {n} rows per step; got ({order.shape[0]},)")
        with nogil:
            while done < steps:
                for i in range(n):  # the program's own copy is checked: order may change meanwhile
                    self.rows[i] = order[done * n + i]
                    if self.rows[i] < 0 or self.rows[i] >= self.row_count:
                        valid, wrong = False, self.rows[i]
                if not valid:
                    break
                next_rows = &order[(done + 1) * n] if n > 0 and done + 1 < steps else NULL
                if not self.run_step(lrs[done], next_rows, threads):
                    break
                done += 1
        self.save_choice(threads)
        if not valid:
            raise ValueError(f"Program.run: order must lie in 0 … {self.row_count - 1}; got {wrong}")
        return done

    def bind_io(self, float[:, ::1] y not None, x not None):
        """Name the recorded arrays in whose place `predict` takes others: the result, and what it is made of."""
        cdef Py_buffer buffer
        PyObject_GetBuffer(x, &buffer, PyBUF_SIMPLE)
        self.output_bytes, self.input_bytes = y.shape[0] * y.shape[1] * <Py_ssize_t>sizeof(float), buffer.len
        self.find_bindings(self.output_bindings, &y[0, 0])
        self.find_bindings(self.input_bindings, <float*>buffer.buf)
        PyBuffer_Release(&buffer)

    cdef void find_bindings(self, float*** uses, const float* array) noexcept:
        # where ops have this array; at most USES - 1 places: there are fewer in a network
        cdef Py_ssize_t i
        cdef int k, found = 0
        for i in range(self.count):
            for k in range(self.ops[i].arrays):
                if self.ops[i].a[k] == array and found < MAX_BINDINGS - 1:
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
        cdef Py_buffer output, input_
        PyObject_GetBuffer(y, &output, PyBUF_WRITABLE)
        try:
            PyObject_GetBuffer(x, &input_, PyBUF_SIMPLE)
        except BaseException:
            PyBuffer_Release(&output)
            raise
        cdef bint valid = self.input_bindings[0] != NULL and output.len == self.output_bytes and input_.len == self.input_bytes
        if valid:
            threads = self.load_choice(threads, calls)
            with nogil:
                rebind(self.output_bindings, <float*>output.buf)
                rebind(self.input_bindings, <float*>input_.buf)
                self.run_step(0, NULL, threads)
            self.save_choice(threads)
        PyBuffer_Release(&output)
        PyBuffer_Release(&input_)
        if not valid:
            raise ValueError("Program.predict: y and x must be of the size of those that were bound")

    cdef ChoiceSlot* slot(self, int threads) noexcept:
        return &choice_slots[(self.work + threads) % CHOICE_SLOTS]

    cdef int load_choice(self, int threads, Py_ssize_t steps) noexcept:
        # how many threads so many steps pay for; what programs of as much work know of sharing it
        cdef ChoiceSlot* slot
        threads = <int>min(<Py_ssize_t>threads, 1 + steps * self.work // WORK_PER_WAKEUP)
        slot = self.slot(threads)
        if slot.work != self.work or slot.threads != threads:
            memset(slot, 0, sizeof(ChoiceSlot))
            slot.work, slot.threads = self.work, threads
        self.choice = slot.choice
        return threads

    cdef void save_choice(self, int threads) noexcept:
        cdef ChoiceSlot* slot = self.slot(threads)
        if slot.work == self.work and slot.threads == threads:
            slot.choice = self.choice

    cdef bint run_step(self, double lr, const int64_t* next_rows, int threads) noexcept nogil:
        # Take a step and count it, first of all: its ops read its number. Return whether the losses are finite; a step
        # whose are not is not counted. The choice of a way learns from each step that may be shared.
        cdef int64_t begin
        cdef uint64_t mode = float_mode_enter()
        cdef bint finite
        self.add_to_counts(1)
        if threads == 1:
            finite = self.run_ops(lr, next_rows, 1)
        else:
            begin = pool_clock()
            finite = self.run_ops(lr, next_rows, 1 if pool_is_serial(&self.choice) else threads)
            pool_measure(&self.choice, pool_clock() - begin, 1)
        if not finite:
            self.add_to_counts(-1)
        float_mode_leave(mode)
        return finite

    cdef void add_to_counts(self, int steps) noexcept nogil:
        cdef Py_ssize_t i
        for i in range(self.n_counts):
            self.counts[i][0] += steps

    cdef bint run_ops(self, double lr, const int64_t* next_rows, int threads) noexcept nogil:
        cdef Py_ssize_t first = 0, i, work
        cdef Op* op
        cdef Stage stage
        cdef int u
        for i in range(self.count):
            op = &self.ops[i]
            op.keep_gradient = next_rows == NULL
            op.next_rows = next_rows
            for u in range(2):
                if op.update[u].rule != NULL:
                    op.update[u].prepare(&op.update[u], lr)
        if threads == 1:
            return self.run_serial()
        while first < self.count:
            i = first
            work = 0
            while i < self.count and self.ops[i].stage == self.ops[first].stage:
                work += self.ops[i].work
                i += 1
            stage.ops = &self.ops[first]
            stage.count = i - first
            stage.parts = <int>min(<Py_ssize_t>min(threads, POOL_QUEUES), 1 + work // WORK_PER_THREAD)
            self.fill_queues(&stage)
            pool_run(run_part, &stage, stage.parts)
            if self.losses != NULL and self.ops[first].stage == self.loss_stage:
                if not all_finite(self.losses, self.n_losses):
                    return False
            first = i
        return True

    cdef bint run_serial(self) noexcept nogil:
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

    cdef void fill_queues(self, Stage* stage) noexcept nogil:
        cdef Py_ssize_t i, units
        cdef int part
        for i in range(stage.count):
            if stage.ops[i].stealing:
                units = unit_count(&stage.ops[i])
                for part in range(stage.parts):
                    queue_fill(&stage.queues[part], units * part // stage.parts, units * (part + 1) // stage.parts)


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
        return RecordedKernel.__new__(RecordedKernel, self.program, door)


@cython.final
cdef class RecordedKernel:
    """A door whose calls a program records."""

    cdef Program program
    cdef object door

    def __cinit__(self, Program program not None, door not None):
        self.program, self.door = program, door

    def __call__(self, *arguments):
        # Between the two assignments nothing but the door runs: no bytecode, so no signal handler, and no finalizer of
        # what the garbage collector finds.
        global recording
        if not self.program.is_recording:
            raise RuntimeError("Program: this program is recorded already; make a new one")
        cdef int collects = PyGC_Disable()
        recording = <void*>self.program
        try:
            self.door(*arguments)
        finally:
            recording = NULL
            if collects:
                PyGC_Enable()
