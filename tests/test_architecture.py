"""The rooms of the package: who imports whom, doors and their twins, no loop outside the kernels, no fat at import."""

import ast
import inspect
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastdigits
from fastdigits import _reference, backend

PACKAGE = Path(fastdigits.__file__).parent
ROOMS = [  # a module imports from rooms above it only
    "errors",
    "inputs",
    "hyperparameters",
    "threads",
    "memory",
    "_kernels",
    "_reference",
    "backend",
    "parameters",
    "initializers",
    "layers.base",
    "layers.dense",
    "layers.batchnorm",
    "layers.activations",
    "layers.dropout",
    "layers",
    "losses",
    "optimizers",
    "schedules",
    "assembly",
    "prediction",
    "callbacks",
    "network",
    "program",
    "training",
    "metrics",
    "data.idx",
    "data.datasets",
    "data",
    "storage",
    "visualize",
    "commands",
    "train_options",
    "runs",
    "bench",
    "train",
]
# The network's methods `fit` and `save` hand over to rooms below when they are called; the commands name their kind.
LATE = {("network", "training"), ("network", "storage"), ("network", "program")}
ONLY_COMPILED = {"Program", "set_threads", "multiply_add", "instruction_sets", "LANE_COUNT", "COMPILER"}


def module_of(path: Path) -> str:
    name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    return name.removesuffix(".__init__")


MODULES = {module_of(path): path for path in PACKAGE.rglob("*.py")}


def imports(path: Path, module: str) -> set[tuple[str, bool]]:
    """Return (imported room, whether at import time) for every import of this package's own modules."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = {id(node) for part in ast.walk(tree) if _postpones(part) for node in ast.walk(part)}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            parts = module.split(".")
            if path.name != "__init__.py":
                parts = parts[:-1]
            base = parts[: len(parts) - (node.level - 1)] + (node.module.split(".") if node.module else [])
            for alias in node.names:
                if alias.name == "__version__":  # a constant, which no room below can change
                    continue
                whole = ".".join([*base, alias.name])
                found.add((whole if whole in MODULES else ".".join(base), id(node) not in late))
    return found


def _postpones(node: ast.AST) -> bool:
    if isinstance(node, ast.FunctionDef):
        return True
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def test_every_module_has_a_room():
    assert set(MODULES) - set(ROOMS) == {"__init__", "__main__"}


@pytest.mark.parametrize("module", [room for room in ROOMS if room in MODULES])
def test_imports_point_upward(module):
    for room, at_once in imports(MODULES[module], module):
        if not at_once and (
            (module, room) in LATE or room == "callbacks" or ROOMS.index(room) < ROOMS.index(module)
        ):
            continue
        if not at_once and _is_for_types(module, room):
            continue
        assert room in ROOMS, f"{module} imports {room or 'the package'}"
        assert ROOMS.index(room) < ROOMS.index(module), f"{module} imports {room}, which stands below it"


def _is_for_types(module: str, room: str) -> bool:
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and _postpones(node)]
    names = {part.module for block in blocks for part in ast.walk(block) if isinstance(part, ast.ImportFrom)}
    return room in names


@pytest.mark.parametrize("name", ["dense", "batchnorm", "activations", "dropout"])
def test_layers_have_no_loops(name):
    tree = ast.parse(MODULES[f"layers.{name}"].read_text(encoding="utf-8"))
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, ast.For | ast.While)] == []


def test_importing_the_package_is_cheap():
    program = (
        "import sys, numpy; before = set(sys.modules); import fastdigits; "
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert not {"matplotlib", "safetensors", "tqdm", "argparse", "PIL"} & set(run.stdout.split())


# -- doors and twins -----------------------------------------------------------------------------------------


def stub() -> dict[str, list[str]]:
    tree = ast.parse((PACKAGE / "_kernels.pyi").read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {node.name: [argument.arg for argument in node.args.args] for node in functions}


def test_doors_and_twins_have_the_same_names_and_arguments():
    twins = {
        name: list(inspect.signature(function).parameters)
        for name, function in inspect.getmembers(_reference, inspect.isfunction)
        if not name.startswith("_")
    }
    doors = {name: arguments for name, arguments in stub().items() if name not in ONLY_COMPILED}
    assert doors == twins


@pytest.mark.parametrize("name", [name for name in backend.MODULES if name != "numpy"])
def test_the_stub_lists_what_is_compiled(name):
    if name not in backend.available_backends():
        pytest.skip(f"this processor has no {name}")
    public = {item for item in vars(backend.load(name)) if not item.startswith("_")}
    assert public == set(stub()) | ONLY_COMPILED


# -- machine code --------------------------------------------------------------------------------------------


def test_the_twins_for_instruction_sets_are_the_same_source():
    for name in ("_kernels_avx2.pyx", "_kernels_avx512.pyx"):
        source = PACKAGE / name
        if not source.exists():
            pytest.skip("an installed package has no sources")
        assert source.read_text() == 'include "_kernels.pyx"\n'


@pytest.mark.parametrize(
    ("module", "registers", "absent"),
    [("_kernels", "xmm", ["ymm", "zmm"]), ("_kernels_avx2", "ymm", ["zmm"]), ("_kernels_avx512", "zmm", [])],
)
def test_no_module_has_instructions_beyond_its_own(module, registers, absent):
    if shutil.which("objdump") is None:
        pytest.skip("objdump, of binutils, is not installed")
    files = list(PACKAGE.glob(f"{module}.*.so"))
    if (
        not files
        or "avx2" not in backend.MODULES
        or backend.load("generic").instruction_sets() == ["generic"]
    ):
        pytest.skip("not an x86-64 build")
    text = subprocess.run(["objdump", "-d", files[0]], check=True, capture_output=True, text=True).stdout
    assert f"%{registers}" in text
    for other in absent:
        assert f"%{other}" not in text
    assert ("vfmadd" in text) == (module != "_kernels")
