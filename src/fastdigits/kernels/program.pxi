# Programs: ops recorded once and run many times without the interpreter.

cdef int threads = 1
cdef pool_choice eager_choice  # for ops that run when their door is called

cdef struct ChoiceSlot:  # the measured choice of programs with this work per step and number of threads
    Py_ssize_t work
    int threads
    pool_choice choice

cdef ChoiceSlot choice_slots[CHOICE_SLOTS]


def reset_sharing():
    """Discard the measurements that choose between parallel and serial runs; the next runs are parallel."""
    memset(&eager_choice, 0, sizeof(eager_choice))
    memset(choice_slots, 0, sizeof(choice_slots))


reset_sharing()


def set_threads(int n):
    """Set the largest number of threads for a door called outside a program; small calls use fewer."""
    global threads
    if n < 1:
        raise ValueError(f"set_threads: n must be at least 1; got {n}")
    threads = n


cdef int submit(Op* op, tuple arrays) except -1:
    # the last step of every door: run the op, or record it if a program calls the door
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
    """Add 1 to the count. A program that records this adds 1 at each step that it completes."""
    expect("advance", "count", count.shape[0], 1)
    if recording != NULL:
        (<Program>recording).record_count(count)
    else:
        count[0] += 1


cdef bint accesses(const Op* op, const float* array, bint* written, bint* shared) noexcept nogil:
    # whether the op or one of its updates reads or writes this array
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


# Threads do not wait for each other within a stage. Two ops may therefore share a stage only if every array that one of
# them writes and the other one accesses is split in the same way by both, and no part leaves its own rows. Otherwise
# the later op gets a later stage. Finding it takes the recorded accesses of each array, not a comparison with every
# earlier op: a network of 600 layers has thousands.

cdef struct Access:  # the accesses to one array by ops that are split in one way
    Axis axis
    Py_ssize_t items
    Py_ssize_t grain
    int last[2][2]  # last stage, or -1, of ops that [only read, write] it [within each part, across parts]
    Py_ssize_t next  # the record of another way of splitting, or -1


cdef inline const void* array_at(const Op* op, int k) noexcept nogil:
    # array k that an op accesses: its own arrays, then those that its updates change
    if k < op.arrays:
        return op.a[k]
    return op.update[k - op.arrays].value if op.update[k - op.arrays].rule != NULL else NULL


cdef int compare_arrays(const void* a, const void* b) noexcept nogil:
    cdef size_t first = (<const size_t*>a)[0], second = (<const size_t*>b)[0]
    return (first > second) - (first < second)


cdef Py_ssize_t index_of(const size_t* sorted_, Py_ssize_t count, const void* array) noexcept nogil:
    # index of an array among the sorted ones
    cdef Py_ssize_t low = 0, middle
    while low < count:
        middle = (low + count) // 2
        if sorted_[middle] < <size_t>array:
            low = middle + 1
        else:
            count = middle
    return low


cdef int earliest_stage(const Access* access, Py_ssize_t at, const Op* op, bint written, bint shared) noexcept nogil:
    # the first stage in which op may access an array with these records
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
    # the slot for the update of this gradient, or -1 if the op cannot apply it
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

    ``with program as doors:`` records one step of training: each call ``doors.relu_forward(y, x)`` is recorded instead
    of run, and ``run`` repeats them. Two things change from step to step: ``rows``, the indices of the step's samples,
    and the learning rate. A step adds 1 to the counts passed to ``advance``, unless its loss is not finite; an
    optimizer therefore always agrees with its count. Doors called on the module itself run as usual meanwhile, in every
    thread.

    Ops are sorted into stages; within a stage, threads do not wait for each other. An optimizer update that follows the
    op of its gradient is fused with that op, and applied while the gradient is in cache.

    Parameters
    ----------
    rows : ndarray of int64, shape (n,)
        The array with the indices of a step's samples, which the gather kernels read; ``run`` fills it.
    """

    cdef Op* ops
    cdef Py_ssize_t count, capacity
    cdef int64_t** counts  # each step adds 1 to them
    cdef Py_ssize_t n_counts
    cdef bint is_recording
    cdef list references  # keep the arrays of the ops alive
    cdef int64_t[::1] rows
    cdef Py_ssize_t row_count  # rows of the shortest array that rows are gathered from
    cdef const float* losses  # of the samples; NULL if no op computes losses
    cdef Py_ssize_t n_losses
    cdef int loss_stage  # computes them
    cdef float** output_bindings[MAX_BINDINGS]  # pointers to the arrays that predict replaces, then NULL
    cdef float** input_bindings[MAX_BINDINGS]
    cdef Py_ssize_t output_bytes, input_bytes
    cdef Py_ssize_t work  # of one step
    cdef pool_choice choice  # parallel or serial steps: a copy of the slot's choice during a run

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
        """The number of stages of a step; threads wait for each other after each."""
        return 1 + self.ops[self.count - 1].stage if self.count else 0

    def __enter__(self):
        if self.count or self.is_recording:
            raise RuntimeError("Program: this program is recorded already; create a new one")
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
        # fuse updates and assign stages, in O(n log n) for n ops
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
        # Fuse each update with the last op that accesses its gradient, if that op computes the gradient and can apply
        # the update, and if no later op reads the old value. Omit gathers that no op reads. last: the last op that
        # accesses an array.
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
                slot = -1
                if producer >= last[value] and producer >= 0:
                    slot = update_slot(&self.ops[producer], op.update[0].grad)
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
            if op.loop != NULL and not (op.bypassed and last[index_of(sorted_, arrays, op.a[0])] == i):
                self.ops[kept] = op[0]
                kept += 1
        self.count = kept

    cdef void assign_stages(
        self, const size_t* sorted_, Py_ssize_t arrays, Py_ssize_t* first, Access* records
    ) noexcept:
        # Assign each op the first stage that its arrays allow. first: the first record of each array.
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
            if op.has_losses:  # all updates are in later stages: they need the whole of dlogits
                self.losses, self.n_losses, self.loss_stage = op.a[0], op.n[0], op.stage

    cdef int sort_by_stage(self) except -1:
        # a stable sort
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
        # Work stealing serves the long ops: the first layer's passes and wide weight gradients. At most one op of a
        # stage has it, and only if no other op of the stage accesses its arrays, as that would depend on which thread
        # computes which part.
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
        # let the first layer read its rows where the gather would copy them from
        cdef Py_ssize_t i
        if op.gathered_input == 0:
            return
        for i in range(self.count):
            if self.ops[i].is_gather and self.ops[i].a[0] == op.a[op.gathered_input]:
                op.a[op.gathered_input], op.rows = self.ops[i].a[1], <const int64_t*>self.ops[i].a[2]
                self.ops[i].bypassed = True

    def run(self, const int64_t[::1] order, const double[::1] lrs, int threads=1):
        """Run one step for each learning rate; step i uses the samples ``order[i·n : (i + 1)·n]``.

        Parameters
        ----------
        order : ndarray of int64, shape (len(lrs) · n,)
            The indices of the samples of all steps.
        lrs : ndarray of float64
            The learning rate of each step.
        threads : int
            The largest number of threads; the result does not depend on it.

        Returns
        -------
        int
            The number of completed steps; fewer than ``len(lrs)`` if the loss of the next one is not finite. That step
            changes no parameter and no count.

        Raises
        ------
        ValueError
            If an index in ``order`` is out of range; the steps before that index are completed.
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
                for i in range(n):  # check the copy: another thread may change order
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
        """Bind the output and input arrays that ``predict`` replaces."""
        cdef Py_buffer buffer
        PyObject_GetBuffer(x, &buffer, PyBUF_SIMPLE)
        self.output_bytes, self.input_bytes = y.shape[0] * y.shape[1] * <Py_ssize_t>sizeof(float), buffer.len
        self.find_bindings(self.output_bindings, &y[0, 0])
        self.find_bindings(self.input_bindings, <float*>buffer.buf)
        PyBuffer_Release(&buffer)

    cdef void find_bindings(self, float*** uses, const float* array) noexcept:
        # all pointers of the ops to this array; a network has fewer than MAX_BINDINGS
        cdef Py_ssize_t i
        cdef int k, found = 0
        for i in range(self.count):
            for k in range(self.ops[i].arrays):
                if self.ops[i].a[k] == array and found < MAX_BINDINGS - 1:
                    uses[found] = &self.ops[i].a[k]
                    found += 1
        uses[found] = NULL

    def predict(self, y not None, x not None, int threads=1, Py_ssize_t calls=1):
        """Run the recorded ops once, with these arrays in place of the bound ones: a prediction.

        Parameters
        ----------
        y, x : ndarray, C order
            As many bytes as the bound arrays.
        threads : int
            The largest number of threads.
        calls : int
            The number of such calls in a row: together they may pay for waking a thread.
        """
        cdef Py_buffer output, input_
        PyObject_GetBuffer(y, &output, PyBUF_WRITABLE)
        try:
            PyObject_GetBuffer(x, &input_, PyBUF_SIMPLE)
        except BaseException:
            PyBuffer_Release(&output)
            raise
        cdef bint valid = self.input_bindings[0] != NULL
        valid = valid and output.len == self.output_bytes and input_.len == self.input_bytes
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
            raise ValueError("Program.predict: y and x must be of the size of the bound arrays")

    cdef ChoiceSlot* slot(self, int threads) noexcept:
        return &choice_slots[(self.work + threads) % CHOICE_SLOTS]

    cdef int load_choice(self, int threads, Py_ssize_t steps) noexcept:
        # return the number of threads that this work pays for, and load the choice for it
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
        # Run one step and return whether its losses are finite. The step is counted first, as ops read its number; if
        # the losses are not finite the count is undone.
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
        # all stages in one thread
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
    """The doors of this module for one program, which records each call instead of running it."""

    cdef Program program

    def __cinit__(self, Program program not None):
        self.program = program

    def __getattr__(self, str name):
        door = globals().get(name)
        if name.startswith("_") or door is None:
            raise AttributeError(f"Recording: name must be that of a door; got {name}")
        return RecordedKernel.__new__(RecordedKernel, self.program, door)


@cython.final
cdef class RecordedKernel:
    """A door whose calls a program records."""

    cdef Program program
    cdef object door

    def __cinit__(self, Program program not None, door not None):
        self.program, self.door = program, door

    def __call__(self, *arguments):
        # Between the two assignments only the door runs. There is no bytecode, so no signal handler runs; and no
        # garbage collection, so no finalizer.
        global recording
        if not self.program.is_recording:
            raise RuntimeError("Program: this program is recorded already; create a new one")
        cdef int collects = PyGC_Disable()
        recording = <void*>self.program
        try:
            self.door(*arguments)
        finally:
            recording = NULL
            if collects:
                PyGC_Enable()
