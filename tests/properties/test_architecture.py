"""Folders import lower folders only, kernels have twins, layers have no loops, and importing is cheap."""

import ast
import graphlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents import ROOT, script

import fastdigits
from fastdigits import _reference

PACKAGE = Path(fastdigits.__file__).parent
# A module imports only from folders before its own in this row, also inside functions and for types.
FLOORS = (
    "errors _version < _reference < core < backend imaging metrics < nn data < optim storage export visualize"
    " < training < network distributed < recipes < sklearn commands < train tune evaluate predict draw bench shard"
    " < __init__ < __main__"
)
FLOOR = {room: height for height, floor in enumerate(FLOORS.split("<")) for room in floor.split()}
ONLY_COMPILED = {
    "Program",
    "Recording",
    "RecordedKernel",
    "set_threads",
    "reset_sharing",
    "multiply_add",
    "instruction_sets",
    "LANE_COUNT",
    "COMPILER",
}


def module_of(path: Path) -> str:
    name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    return name.removesuffix(".__init__")


# The contenders of `bench --peers` are run by path, in the environment of their library: they are no modules.
PROGRAMS = PACKAGE / "commands" / "peers" / "programs"
MODULES = {module_of(path): path for path in PACKAGE.rglob("*.py") if path.parent != PROGRAMS}


def imports(source: str, module: str, package: bool = False) -> Iterator[str]:
    """Yield each module of this package that a source imports, at its top or inside a function."""
    here = module.split(".") if package and module != "__init__" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            yield from (".".join(name[1:]) or "__init__" for name in names if name[0] == "fastdigits")
        elif isinstance(node, ast.ImportFrom):
            start = here[: len(here) - node.level + 1] if node.level else []
            base = start + (node.module.split(".") if node.module else [])
            if not node.level and base[:1] != ["fastdigits"]:
                continue
            base = base if node.level else base[1:]
            for alias in node.names:
                whole = ".".join([*base, alias.name])
                yield whole if whole in MODULES else ".".join(base) or "__init__"


def breaks_the_law(module: str, imported: str) -> bool:
    room, other = module.split(".")[0], imported.split(".")[0]
    return room != other and FLOOR[other] >= FLOOR[room]


IMPORTS = {
    module: set(imports(path.read_text(encoding="utf-8"), module, path.name == "__init__.py"))
    for module, path in MODULES.items()
}


def test_imports_lead_to_lower_floors():
    assert {one.split(".")[0] for one in MODULES} <= FLOOR.keys()
    assert [(one, other) for one in IMPORTS for other in IMPORTS[one] if breaks_the_law(one, other)] == []


def test_no_folder_has_a_circle_inside():
    graphlib.TopologicalSorter({one: others - {one} for one, others in IMPORTS.items()}).prepare()


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("nn.losses", "from ..network import NeuralNetwork"),
        ("nn.losses", "from fastdigits.network import NeuralNetwork"),
        ("nn.losses", "import fastdigits.network"),
        ("nn.losses", "from .. import network"),
        ("nn.losses", "from .. import NeuralNetwork"),
        ("nn.losses", "import fastdigits"),
        ("nn.losses", "def f():\n    from ..network import NeuralNetwork"),
        ("nn.losses", "from ..data import load_mnist"),
        ("nn.layers.dense", "from ...network import NeuralNetwork"),
        ("core.arrays", "from .. import backend"),
        ("network", "if TYPE_CHECKING:\n    from . import recipes"),
    ],
)
def test_an_import_from_a_higher_floor_is_found(module, line):
    assert any(breaks_the_law(module, other) for other in imports(line, module))


def test_an_import_from_a_lower_floor_is_allowed():
    line = "from .. import backend\nfrom ..core.arrays import Array\nfrom .layers import dense\nimport numpy as np"
    found = list(imports(line, "nn.losses"))
    assert found == ["backend", "core.arrays", "nn.layers.dense"]
    assert not any(breaks_the_law("nn.losses", other) for other in found)


@pytest.mark.parametrize("path", sorted(PROGRAMS.glob("*.py")), ids=lambda path: path.stem)
def test_programs_of_the_comparison_use_the_package_as_users_do(path):
    used = set(imports(path.read_text(encoding="utf-8"), "__main__", package=True))
    assert used <= ({"__init__"} if path.stem in ("fastdigits_fit", "train_fastdigits") else set())


# The packages that a module imports beside the standard library and numpy
OTHER_PACKAGES = {
    "core.notebook": {"IPython"},
    "core.pages": {"jinja2"},
    "data.shard_files": {"pyarrow"},
    "data.downloads": {"filelock", "pooch", "requests", "tqdm", "urllib3"},
    "distributed.mpi": {"mpi4py"},
    "export.onnx": {"onnx"},
    "export.torch": {"torch"},
    "imaging": {"PIL"},
    "sklearn": {"sklearn"},
    "training.callbacks": {"tqdm"},
    "training.history": {"matplotlib"},  # the type of its plot
    "visualize": {"matplotlib"},
    "visualize.writing": {"matplotlib", "tqdm"},  # to recognise the thread of its progress bars
}


@pytest.mark.parametrize("module", MODULES)
def test_modules_import_numpy_and_few_other_packages(module):
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {
        node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
    }
    outside = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"fastdigits"}
    assert outside <= {"numpy"} | OTHER_PACKAGES.get(module, OTHER_PACKAGES.get(module.split(".")[0], set()))


LAYERS = [name for name in MODULES if name.startswith("nn.layers.") and name != "nn.layers.base"]


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
    assert not {
        "matplotlib",
        "mpi4py",
        "safetensors",
        "torch",
        "onnx",
        "tqdm",
        "jinja2",
        "argparse",
        "PIL",
        "IPython",
        "pandas",
    } & set(run.stdout.split())


@pytest.mark.skipif(
    not (ROOT / "CONTRIBUTING.md").exists(), reason="an installed package has no CONTRIBUTING"
)
def test_the_map_in_contributing_matches_the_folders():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert FLOORS in " ".join(page.split())
    assert script("docs/house_map").page_with_map(page) == page


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


def test_the_stub_lists_all_compiled_names(kernels):
    public = {item for item in vars(kernels) if not item.startswith("_")}
    assert public == set(stub()) | ONLY_COMPILED
