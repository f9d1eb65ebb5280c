"""Describe the machine of a measurement: processor, cores, instruction sets, load, compiler, commit."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

INSTRUCTION_SETS = (
    "sse4_2", "avx", "fma", "avx2", "avx512f", "avx512dq", "avx512bw", "avx512vl", "amx_tile", "asimd", "sve",
)  # fmt: skip


def describe(command: str, checkout: Path | None = None) -> dict[str, Any]:
    """Return facts about this machine and this run of ``command``, and the commit of a checkout."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name, flags = _processor()
    return {
        "processor": name,
        "cores": cores,
        "instruction_sets": [flag for flag in INSTRUCTION_SETS if flag in flags],
        "system": platform.platform(),
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "compiler": _line("cc", "--version"),
        "commit": _line("git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=10")
        if checkout
        else None,
        "when": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "driver_python": platform.python_version(),
        "command": " ".join([command, *map(_without_paths, sys.argv[1:])]),
    }


def _processor() -> tuple[str, list[str]]:
    name = platform.processor() or platform.machine()
    flags: list[str] = []
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            elif key.strip() in ("flags", "Features"):
                return name, value.split()
    return name, flags


def _line(*command: str) -> str | None:
    """Return the first line that a command prints, or None if it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.partition("\n")[0].strip() or None


def _without_paths(word: str) -> str:
    """Return a word of the command line without the folders of its path."""
    name, separator, value = word.rpartition("=")
    return f"{name}{separator}{Path(value).name}" if os.sep in value else word
