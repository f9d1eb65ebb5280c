"""The rooms of the package: who imports whom, doors and their twins, no loop outside the kernels, no fat at import."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import fastdigits
from fastdigits import _reference

PACKAGE = Path(fastdigits.__file__).parent
ROOMS = [  # a module imports from rooms above it only
    "text",
    "errors",
    "files",
    "streams",
    "interrupts",
    "inputs",
    "scales",
    "undo",
    "foreign",
    "tensorfile",
    "changes",
    "hyperparameters",
    "entries",
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
    "augment",
    "clipping",
    "averaging",
    "assembly",
    "prediction",
    "callbacks",
    "network",
    "storage",
    "checkpoint",
    "program",
    "examples",
    "steps",
    "training",
    "finding",
    "recipes",
    "sklearn.settings",
    "sklearn.examples",
    "sklearn.watch",
    "sklearn.classifier",
    "sklearn",
    "metrics",
    "calibration",
    "assessment",
    "pictures",
    "data.packing",
    "data.idx",
    "data.cache",
    "data.datasets",
    "data.downloads",
    "data.published",
    "data.labels",
    "data.pictures",
    "data.arrays",
    "data.tables",
    "data.sources",
    "data",
    "torch_state",
    "export.onnx",
    "export.html",
    "export",
    "visualize.canvas",
    "visualize.confusion",
    "visualize.curves",
    "visualize.mosaic",
    "visualize.predictions",
    "visualize.reliability",
    "visualize.weights",
    "visualize.writing",
    "visualize",
    "components",
    "ink",
    "sheet",
    "cutting",
    "preparing",
    "readings",
    "console",
    "commands",
    "locks",
    "runs",
    "train_options",
    "markup",
    "report",
    "sources",
    "predict",
    "bench",
    "train",
    "evaluate",
    "draw",
]
# The network's methods `fit` and `save` hand over to rooms below when they are called; the commands name their kind.
LATE = {("network", room) for room in ("training", "storage", "finding", "torch_state", "export.onnx")}
ONLY_COMPILED = {
    "Program",
    "Recording",
    "Noted",
    "set_threads",
    "forget_habits",
    "multiply_add",
    "instruction_sets",
    "LANE_COUNT",
    "COMPILER",
}


def module_of(path: Path) -> str:
    name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    return name.removesuffix(".__init__")


MODULES = {module_of(path): path for path in PACKAGE.rglob("*.py")}


NOW, LATE_CALL, TYPES = "at import", "when called", "for types"


def imports(source: str, module: str, package: bool = False) -> set[tuple[str, str]]:
    """Return (imported room, when) for every import of this package's own modules; "" is the package itself."""
    tree = ast.parse(source)
    called = {id(node) for part in ast.walk(tree) if _is_function(part) for node in ast.walk(part)}
    typed = {
        id(node)
        for part in ast.walk(tree)
        if isinstance(part, ast.If) and isinstance(part.test, ast.Name) and part.test.id == "TYPE_CHECKING"
        for statement in part.body
        for node in ast.walk(statement)
    }
    found = set()
    for node in ast.walk(tree):
        when = TYPES if id(node) in typed else LATE_CALL if id(node) in called else NOW
        found |= {(room, when) for room in _own_rooms(node, module, package)}
    return found


def _own_rooms(node: ast.AST, module: str, package: bool) -> set[str]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
        return {name[len("fastdigits.") :] for name in names if name.split(".")[0] == "fastdigits"}
    if not isinstance(node, ast.ImportFrom):
        return set()
    if node.level:
        here = module.split(".") if package else module.split(".")[:-1]
        base = here[: len(here) - (node.level - 1)] + (node.module.split(".") if node.module else [])
    elif node.module is not None and node.module.split(".")[0] == "fastdigits":
        base = node.module.split(".")[1:]
    else:
        return set()
    # the version is a constant, which no room below can change
    wholes = [".".join([*base, alias.name]) for alias in node.names if alias.name != "__version__"]
    return {whole if whole in MODULES else ".".join(base) for whole in wholes}


def _is_function(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def may_import(module: str, room: str, when: str) -> bool:
    if room not in ROOMS:
        return False
    return (
        when == TYPES
        or ROOMS.index(room) < ROOMS.index(module)
        or ((module, room) in LATE and when == LATE_CALL)
    )


def test_every_module_has_a_room():
    assert set(MODULES) - set(ROOMS) == {"__init__", "__main__"}


@pytest.mark.parametrize("module", [room for room in ROOMS if room in MODULES])
def test_imports_point_upward(module):
    path = MODULES[module]
    for room, when in imports(path.read_text(encoding="utf-8"), module, path.name == "__init__.py"):
        assert may_import(module, room, when), f"{module} imports {room or 'the package'} {when}"


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("losses", "from .network import NeuralNetwork"),
        ("losses", "from fastdigits.network import NeuralNetwork"),
        ("losses", "import fastdigits.network"),
        ("losses", "from . import network"),
        ("losses", "from . import NeuralNetwork"),
        ("losses", "import fastdigits"),
        ("losses", "def f():\n    from .network import NeuralNetwork"),
        (
            "losses",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    pass\nelse:\n    from . import network",
        ),
        ("layers.dense", "from ..network import NeuralNetwork"),
        ("layers.dense", "from .dropout import Dropout"),
        ("network", "from .storage import save"),
    ],
)
def test_an_import_that_points_downward_is_seen(module, line):
    assert not all(may_import(module, room, when) for room, when in imports(line, module))


def test_an_import_that_points_upward_is_allowed():
    line = "from . import backend\nfrom .inputs import Array\nimport numpy as np\nfrom collections import abc"
    assert imports(line, "losses") == {("backend", NOW), ("inputs", NOW)}
    assert all(may_import("losses", room, when) for room, when in imports(line, "losses"))
    assert may_import("network", "storage", LATE_CALL)


# What a module takes from outside, beside the standard library and numpy
GUESTS = {
    "callbacks": {"tqdm"},
    "export.onnx": {"onnx"},
    "sklearn": {"sklearn"},
    "torch_state": {"torch"},
}
GUESTS |= {name: {"sklearn"} for name in MODULES if name.startswith("sklearn.")}
GUESTS |= {name: {"matplotlib"} for name in MODULES if name.startswith("visualize.")}
GUESTS["visualize.writing"] |= {"tqdm"}  # to know the thread of its bars
GUESTS |= {"data.downloads": {"filelock", "pooch", "requests", "tqdm", "urllib3"}}
GUESTS |= {
    "readings": {"matplotlib"},
    "pictures": {"PIL"},
    "ink": {"PIL"},
    "sheet": {"PIL"},
    "preparing": {"PIL"},
}


@pytest.mark.parametrize("module", MODULES)
def test_modules_take_numpy_and_little_else_from_outside(module):
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {
        node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
    }
    outside = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"fastdigits"}
    assert outside <= {"numpy"} | GUESTS.get(module, set())


LAYERS = [name for name in MODULES if name.startswith("layers.") and name != "layers.base"]


@pytest.mark.parametrize("name", LAYERS)
def test_layers_have_no_loops(name):
    loops = ast.For | ast.While | ast.comprehension
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    assert [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, loops)] == []


def test_importing_the_package_is_cheap():
    program = (
        "import sys, numpy; before = set(sys.modules); import fastdigits; "
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert not {"matplotlib", "safetensors", "torch", "onnx", "tqdm", "argparse", "PIL"} & set(
        run.stdout.split()
    )


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


def test_the_stub_lists_what_is_compiled(kernels):
    public = {item for item in vars(kernels) if not item.startswith("_")}
    assert public == set(stub()) | ONLY_COMPILED
