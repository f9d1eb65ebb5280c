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
    late = atoll(argv[2]);
    for (int jobs = 1; jobs <= 50; jobs++) {
        pool_run(job, NULL, 2);
        if (pool.workers < 1) return puts("no worker"), 0;
        if (pool.alone_until) return printf("alone after %d\n", jobs), 0;
        atomic_fetch_add(&fake_now, argc > 3 ? atoll(argv[3]) : 0);
    }
    puts("together");
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
    ("own", "late", "between", "wanted"),
    [
        (4_000_000, 1_000_000, 0, "together"),  # a large job's parts end apart by themselves
        (1_000_000, 3_000_000, 0, "alone after 2"),  # another program has the worker's core
        (0, 6_000_000, 0, "alone after 1"),
        (0, 900_000, 0, "alone after 6"),
        (0, 100_000, 0, "together"),  # an interrupt
        (
            0,
            3_000_000,
            20_000_000,
            "together",
        ),  # a virtual machine that is halted now and then: sharing saves more
        (0, 3_000_000, 2_000_000, "alone after 2"),
    ],
)
def test_the_pool_works_alone_when_stalls_cost_more_than_sharing_saves(program, own, late, between, wanted):
    """Nanoseconds: the caller's part, how long it then waits for the worker's, and what passes until the next job."""
    run = subprocess.run(
        [program, str(own), str(late), str(between)], check=True, capture_output=True, text=True, timeout=60
    )
    assert run.stdout.strip() == wanted
