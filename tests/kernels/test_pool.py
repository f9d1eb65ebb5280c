"""The pool measures whether to run in parallel. A C program simulates machines, so no test waits in real time."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

HEADER = Path(__file__).parents[2] / "src" / "fastdigits" / "kernels" / "pool.h"
COMPILER = shutil.which((sysconfig.get_config_var("CC") or "cc").split()[0]) or shutil.which("cc")

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="without pthreads there is no pool"),
    pytest.mark.skipif(COMPILER is None, reason="no C compiler"),
]

PROGRAM = r"""
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include "pool.h"

static void nothing(void *context, int part, int parts) { (void)context, (void)part, (void)parts; }

/* Move a worker away from this thread's core, after recording that it runs there; print whether it stays bound. */
static int migrate(void) {
    cpu_set_t all, allowed;
    pool_run(nothing, NULL, 2);
    if (pool.workers < 1 || sched_getaffinity(0, sizeof(all), &all) != 0) return puts("free"), 0;
    for (int i = 0; i < 1000; i++) {
        atomic_store(&pool.worker[0].core, pool_current_core());
        pool_migrate(&pool.worker[0]);
    }
    if (pthread_getaffinity_np(pool.worker[0].thread, sizeof(allowed), &allowed) != 0) return puts("unknown"), 1;
    return puts(CPU_EQUAL(&all, &allowed) ? "free" : "bound"), 0;
}

/* Arguments: ns per serial piece of work; for each of two alternating phases: ns per parallel piece, pieces between
 * stalls (0: none), ns per stall; seconds per phase. The first parallel piece after a serial one takes 0.2 ms more.
 * Prints the time taken over that of the better way, for 10 s of the better way. */
int main(int argc, char **argv) {
    double v[8], phase, best = 0, taken = 0;
    int before = 1;
    if (argc == 1) return migrate();
    for (int i = 0; i < argc - 1; i++) v[i] = atof(argv[i + 1]);
    phase = v[7] * 1e9;
    pool_choice choice = {0};
    for (long piece = 1; best < 10e9; piece++) {
        const double *half = (long)(taken / phase) % 2 ? v + 4 : v + 1;
        double mean = half[0] + (half[1] > 0 ? half[2] / half[1] : 0);
        double shared = half[0] + (half[1] > 0 && piece % (long)half[1] == 0 ? half[2] : 0);
        double ns = pool_is_serial(&choice) ? v[0] : shared + (before ? 200e3 : 0);
        before = pool_is_serial(&choice);
        pool_measure(&choice, (int64_t)ns, 1);
        taken += ns;
        best += mean < v[0] ? mean : v[0];
    }
    printf("%.4f\n", taken / best);
    return 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pool")
    (folder / "pool.c").write_text(PROGRAM)
    command = [COMPILER, "-std=gnu11", "-O1", "-pthread", f"-I{HEADER.parent}", "pool.c", "-o", "pool"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "pool"


GOOD = (54_000, 0, 0)
FAR = (135_000, 0, 0)  # the other core uses another third-level cache
BUSY = (54_000, 7, 4_000_000)  # another program uses the other core at times
HALTS = (54_000, 20_000, 20_000_000)  # the whole machine stops at times


@pytest.mark.parametrize(
    ("serial", "first", "second", "phase", "limit"),
    [
        (83_000, GOOD, GOOD, 1, 1.01),
        (83_000, FAR, FAR, 1, 1.01),
        (83_000, BUSY, BUSY, 1, 1.05),
        (83_000, HALTS, HALTS, 1, 1.02),
        (83_000, GOOD, FAR, 1, 1.05),
        (83_000, GOOD, BUSY, 1, 1.06),
        (83_000, BUSY, FAR, 1, 1.05),
        (5_000_000, (3_000_000, 0, 0), (9_000_000, 0, 0), 2, 1.05),
        (83_000, (82_000, 0, 0), (84_000, 0, 0), 1, 1.02),
        (83_000, FAR, (75_000, 0, 0), 3, 1.02),
    ],
)
def test_the_pool_finds_the_faster_way_as_the_other_core_changes(
    program, serial, first, second, phase, limit
):
    """The time of a run is at most ``limit`` times that of the better way at each moment."""
    numbers = (serial, *first, *second, phase)
    run = subprocess.run(
        [program, *map(str, numbers)], check=True, capture_output=True, text=True, timeout=60
    )
    assert float(run.stdout) < limit


@pytest.mark.skipif(sys.platform != "linux", reason="threads are bound to cores on Linux only")
def test_a_worker_moved_to_another_core_is_not_bound_to_it(program):
    run = subprocess.run([program], check=True, capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == "free"
