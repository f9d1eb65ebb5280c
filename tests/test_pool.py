"""When the thread pool works alone, by a clock that the test moves: no wait here takes real time."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

HEADER = Path(__file__).parents[1] / "src" / "fastdigits" / "_pool.h"
COMPILER = shutil.which((sysconfig.get_config_var("CC") or "cc").split()[0]) or shutil.which("cc")

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="without pthreads there is no pool"),
    pytest.mark.skipif(COMPILER is None, reason="no C compiler"),
]

PROGRAM = r"""
#define _GNU_SOURCE
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static atomic_llong fake_now = 1000000000;
static int fake_clock(clockid_t which, struct timespec *t) {
    long long now = atomic_fetch_add(&fake_now, 1000); /* each look at the clock takes a microsecond */
    (void)which;
    t->tv_sec = now / 1000000000;
    t->tv_nsec = now % 1000000000;
    return 0;
}
#define clock_gettime fake_clock
#define sched_getcpu() (-1) /* as if no worker shared the caller's core */
#include "_pool.h"

static long long own, late;
static void job(void *context, int part, int parts) {
    (void)context;
    if (parts > 1 && part == 1) while (!atomic_load(&pool.caller_asleep)) sched_yield();
    if (parts > 1) atomic_fetch_add(&fake_now, part ? late : own);
}

int main(int argc, char **argv) {
    own = atoll(argv[1]);
    late = atoll(argv[argc - 1]);
    pool_run(job, NULL, 2);
    puts(pool.workers < 1 ? "no worker" : pool.alone_until ? "alone" : "together");
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


@pytest.mark.parametrize(
    ("own", "late", "wanted"),
    [
        (4_000_000, 1_000_000, "together"),  # a large job's parts end apart by themselves
        (1_000_000, 3_000_000, "alone"),  # another program has the worker's core
        (0, 300_000, "alone"),
        (0, 100_000, "together"),  # an interrupt
    ],
)
def test_a_worker_counts_as_stalled_by_its_delay_and_by_the_callers_own_part(program, own, late, wanted):
    """``own`` and ``late`` are nanoseconds: the caller's part, and how long it then waits for the worker's."""
    run = subprocess.run(
        [program, str(own), str(late)], check=True, capture_output=True, text=True, timeout=60
    )
    assert run.stdout.strip() == wanted
