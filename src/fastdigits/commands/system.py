"""Describe this machine and its versions, and open files in other programs."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from .. import backend
from .._version import __version__
from ..backend.threads import get_num_threads


def open_file(file: Path) -> bool:
    """Open a file in its default program; return whether there is one."""
    if sys.platform == "win32":
        os.startfile(file)
        return True
    opener = "open" if sys.platform == "darwin" else "xdg-open"
    program = shutil.which(opener)
    if program is None or not has_display():
        return False
    subprocess.Popen(
        [program, str(file)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    return True


def provenance(command: str) -> dict[str, Any]:
    """Return how a result was made: command line, date, backend, threads, versions and machine."""
    return {
        "command": command,
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "backend": backend.backend_name(),
        "threads": get_num_threads(),
        "versions": versions(),
        "machine": machine(),
    }


def has_display() -> bool:
    """Return whether the system can open windows."""
    return sys.platform in ("darwin", "win32") or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())


def versions() -> dict[str, str]:
    """Return the versions of this package, of Python and of its required packages."""
    others = {name: importlib.metadata.version(name) for name in ("numpy", "matplotlib")}
    return {"fastdigits": __version__, "python": platform.python_version(), **others}


def machine() -> dict[str, Any]:
    """Return processor and operating system."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "system": platform.platform(),
    }


def _processor() -> str:
    """Return the name of the processor; Linux has it only in a file."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
