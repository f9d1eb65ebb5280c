"""Each compiled module uses only its instruction set; a twin checks the processor before its own code runs."""

import importlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import fastdigits as fd
from fastdigits import backend

PACKAGE = Path(fd.__file__).parent
TWINS = {"avx2": "_kernels_avx2", "avx512": "_kernels_avx512"}
# Instructions that the twins' flags add to x86-64: vector prefix, bit manipulation, mask registers. tzcnt is not among
# them: older processors run it as bsf, with the same result except for 0, and compilers use it everywhere.
BEYOND = re.compile(
    r"v(?!err|erw|mcall)|k(mov|add|and|or|not|sh|test|unpck|xor|xnor)|lzcnt|andn$|bextr|bls|popcnt"
)


def built(module: str) -> Path:
    """Return the file of a module of an x86-64 build; skip the test if there is none."""
    files = list(PACKAGE.glob(f"{module}.*.so"))
    if not files or not list(PACKAGE.glob("_kernels_avx2.*.so")):
        pytest.skip("not an x86-64 build for Linux or macOS")
    return files[0]


def binutils(*command: str | Path) -> str:
    if shutil.which(str(command[0])) is None:
        pytest.skip("objdump and readelf, of binutils, are not installed")
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_the_twins_for_instruction_sets_are_the_same_source():
    for name in TWINS.values():
        source = PACKAGE / f"{name}.pyx"
        if not source.exists():
            pytest.skip("an installed package has no sources")
        assert source.read_text() == 'include "_kernels.pyx"\n'


@pytest.mark.parametrize(
    ("module", "registers", "absent"),
    [("_kernels", "xmm", ["ymm", "zmm"]), ("_kernels_avx2", "ymm", ["zmm"]), ("_kernels_avx512", "zmm", [])],
)
def test_no_module_has_registers_beyond_its_instruction_set(module, registers, absent):
    text = binutils("objdump", "-d", built(module))
    assert f"%{registers}" in text
    for other in absent:
        assert f"%{other}" not in text
    assert ("vfmadd" in text) == (module != "_kernels")


@pytest.mark.parametrize("module", ["_kernels", "_cython"])
def test_modules_for_every_processor_have_only_baseline_instructions(module):
    found = {mnemonic for mnemonic, *_ in instructions(built(module)).values()}
    assert not {mnemonic for mnemonic in found if BEYOND.match(mnemonic)}


# -- code that runs when a twin is imported -------------------------------------------------------------------------


def instructions(file: Path) -> dict[int, tuple[str, str, int]]:
    """Return mnemonic, operands and the following address for the address of each instruction."""
    lines = re.findall(
        r"^ +([0-9a-f]+):\t(?:[0-9a-f]{2} )+ *\t?(?:(?:rep|repz|repnz|lock|cs|data16|bnd|notrack) )*([a-z0-9]\w*)?(.*)",
        binutils("objdump", "-d", "--insn-width=16", file),
        re.MULTILINE,
    )
    addresses = [int(address, 16) for address, _, _ in lines]
    following = [*addresses[1:], 0]
    return {
        at: (name, rest, after)
        for at, (_, name, rest), after in zip(addresses, lines, following, strict=True)
    }


def reached(code: dict[int, tuple[str, str, int]], entries: list[int], end: str) -> dict[int, str]:
    """Return the instructions that jumps and calls reach from these entries, except through ``end``."""
    seen: dict[int, str] = {}
    waiting = list(entries)
    while waiting:
        at = waiting.pop()
        while at in code and at not in seen:
            mnemonic, operands, after = code[at]
            seen[at] = mnemonic + operands
            target = re.match(r" *([0-9a-f]+) <", operands)
            if target and mnemonic.startswith(("j", "call")) and end not in operands:
                waiting.append(int(target[1], 16))
            if mnemonic in ("ret", "jmp", "hlt", "ud2"):
                break
            at = after
    return seen


def entries(file: Path) -> list[int]:
    """Return the addresses that the loader calls: initialisers, static constructors, the module's entry point."""
    symbols = binutils("objdump", "-T", file)
    (entry,) = re.findall(r"^([0-9a-f]+) .* PyInit_\w+$", symbols, re.MULTILINE)
    sections = binutils("readelf", "-SW", file)
    (start, size) = re.search(
        r" \.init_array +INIT_ARRAY +([0-9a-f]+) [0-9a-f]+ ([0-9a-f]+)", sections
    ).groups()
    (init,) = re.findall(r" \.init +PROGBITS +([0-9a-f]+)", sections)
    array = range(int(start, 16), int(start, 16) + int(size, 16))
    relocations = re.findall(
        r"^([0-9a-f]+) .* R_X86_64_RELATIVE +([0-9a-f]+)$", binutils("readelf", "-rW", file), re.M
    )
    constructors = [int(target, 16) for place, target in relocations if int(place, 16) in array]
    assert len(constructors) == len(array) // 8
    return [int(entry, 16), int(init, 16), *constructors]


@pytest.mark.parametrize("name", TWINS)
def test_importing_a_twin_runs_baseline_instructions_until_the_processor_is_checked(name):
    file = built(TWINS[name])
    code = instructions(file)
    run = reached(code, entries(file), f"unchecked_{name}")
    assert any("PyErr_Format" in instruction for instruction in run.values())  # the refusal is reachable
    assert not {f"{at:x}: {instruction}" for at, instruction in run.items() if BEYOND.match(instruction)}
    # Without the check this fails: Cython's initialisation uses the twin's instruction set.
    (inside,) = re.findall(
        rf"^([0-9a-f]+) .* unchecked_{name}$", binutils("objdump", "-T", file), re.MULTILINE
    )
    assert int(inside, 16) in code
    assert any(BEYOND.match(mnemonic) for mnemonic, *_ in code.values())


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_for_a_missing_instruction_set_raises_import_error(name):
    built(TWINS[name])
    if name in fd.available_backends():
        assert importlib.import_module(f"fastdigits.{TWINS[name]}") is backend.load(name)
        return
    instead = backend.MODULES[fd.available_backends()[0]]
    with pytest.raises(ImportError, match=rf"with {name.upper()[:3]}.* use fastdigits\.{instead} instead"):
        importlib.import_module(f"fastdigits.{TWINS[name]}")
