"""The shape of the library: who imports whom, what is documented, what comes with an op."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import ipse.functional
import ipse.losses

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "python" / "ipse"

# From the bottom up; a module imports from its own layer and from those below it.
LAYERS = [
    {"_core", "kernels"},
    {"ops"},
    {"functional"},
    {"losses", "nn", "search", "teachers", "schedules"},
    {"training", "data", "evaluation"},
    {"methods"},
    {"cli", "info", "__main__"},
]
HEIGHT = {part: height for height, parts in enumerate(LAYERS) for part in parts}

SOURCES = sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    """``losses`` for python/ipse/losses/vicreg.py, ``functional`` for python/ipse/functional.py."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_parts(source: str) -> set[str]:
    """The parts of ipse that a file imports, wherever in the file the import stands."""
    parts = set()
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            module = node.module or ""
            # `from ipse import x` and `from ipse.x import y` both name the part x.
            names = [f"{module}.{alias.name}" for alias in node.names]
        parts |= {name.split(".")[1] for name in names if name.startswith("ipse.")}
    return parts - {"__version__"}


def test_imported_parts_are_found() -> None:
    source = "def f():\n    from ipse import _core, data as d\n    import ipse.ops.formulas\n"
    source += "from ipse.training.config import Config\nimport torch\n"
    assert imported_parts(source) == {"_core", "data", "ops", "training"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_point_down(path: Path) -> None:
    part = part_of(path)
    imports = imported_parts(path.read_text())
    if part == "__init__":
        assert not imports, "import ipse loads nothing: its parts come when first used"
        return
    assert part in HEIGHT, f"{part} has no layer: see DESIGN.md"
    above = {other for other in imports if HEIGHT[other] > HEIGHT[part]}
    assert not above, f"{part} must not import {above}"


def test_the_core_knows_nothing_of_torch() -> None:
    for path in [*(ROOT / "csrc").rglob("*.h"), *(ROOT / "csrc").rglob("*.cpp")]:
        includes = [line for line in path.read_text().splitlines() if line.startswith("#include")]
        assert not [line for line in includes if "torch" in line or "ATen" in line], path
        if "bindings" not in path.parts:
            assert not [line for line in includes if "pybind11" in line], path


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_import_ipse_is_light() -> None:
    loaded = modules_after("import ipse; ipse.__version__, dir(ipse)")
    assert "ipse" in loaded
    assert not loaded & {"torch", "numpy", "ipse._core", "ipse.functional", "matplotlib"}


def test_core_alone_does_not_load_torch() -> None:
    loaded = modules_after("from ipse import _core; _core.build_info()")
    assert "ipse._core" in loaded
    assert "torch" not in loaded


def test_functional_does_not_load_the_training_layer() -> None:
    loaded = modules_after("import ipse.losses")
    assert "ipse.functional" in loaded
    assert not loaded & {"ipse.training", "ipse.data", "ipse.methods", "matplotlib", "sklearn"}


PUBLIC = [
    getattr(module, name) for module in (ipse.functional, ipse.losses) for name in module.__all__
]


@pytest.mark.parametrize("item", PUBLIC, ids=lambda item: item.__name__)
def test_public_names_are_documented_and_typed(item: object) -> None:
    if inspect.isclass(item):
        callables = [item.__init__, item.forward]
        assert "Args:" in item.__doc__
        # forward has the shapes: the constructor takes none
        assert "(N, " in item.forward.__doc__, "write the shapes"
    else:
        callables = [item]
        for section in ("Args:", "Returns:", "Raises:", "Memory:", "Source:"):
            assert section in item.__doc__, section
        assert "(N, " in item.__doc__, "write the shapes"
    for function in callables:
        signature = inspect.signature(function)
        assert signature.return_annotation is not inspect.Signature.empty, function
        for parameter in list(signature.parameters.values())[inspect.isclass(item) :]:
            assert parameter.annotation is not inspect.Parameter.empty, parameter
    # Arguments are all mentioned by name.
    documented = inspect.signature(item).parameters
    assert not [name for name in documented if name not in item.__doc__]


def registered_ops() -> list[str]:
    names = {
        schema.name.removeprefix("ipse::")
        for schema in torch._C._jit_get_all_schemas()
        if schema.name.startswith("ipse::")
    }
    return sorted(name for name in names if not name.endswith("_backward"))


# The files in python/ipse/ops that register operators: the group each belongs to (its reference
# and its bindings are files of that name) and the engine in csrc.
GROUP_OF_FILE = {
    "cross_correlation": ("cross_correlation", "cross_correlation"),
    "similarity": ("similarity", "similarity"),
    "similarity_sums": ("similarity", "similarity"),
    "siglip": ("similarity", "similarity"),
    "prototypes": ("prototypes", "similarity"),
    "neighbours": ("neighbours", "similarity"),
    "scattering": ("scattering", "spectral"),
    "clusters": ("clusters", "similarity"),
    "crops": ("crops", "spectral"),
    "bands": ("styles", "spectral"),
    "channel_response": ("channel_response", "pruning"),
    "elastic": ("elastic", "pruning"),
    "pruning": ("pruning_masks", "pruning"),
    "styles": ("styles", "spectral"),
    "token_subsets": ("token_subsets", "pruning"),
}


def file_of(op: str) -> str:
    """The file in python/ipse/ops that registers the op."""
    (file,) = [
        file
        for file in GROUP_OF_FILE
        if (path := PACKAGE / "ops" / f"{file}.py").exists()
        and (f'"{op}"' in (text := path.read_text()) or f'"{op}(' in text)
    ]
    return file


def core_functions(op: str) -> tuple[str, ...]:
    """What the op calls in the core: functions of its own, or those its group shares."""
    module = importlib.import_module(f"ipse.ops.{file_of(op)}")
    shared = getattr(module, "CORE_FUNCTIONS", {})
    return tuple(shared.get(op, (f"{op}_forward", f"{op}_backward")))


def test_ops_are_found() -> None:
    assert {"barlow_twins", "vicreg"} <= set(registered_ops())


@pytest.mark.parametrize("op", registered_ops())
def test_every_op_comes_with_all_its_parts(op: str) -> None:
    group, engine = GROUP_OF_FILE[file_of(op)]
    reference = ROOT / "tests" / "reference" / f"{group}.py"
    assert f"def {op}(" in reference.read_text()
    for part in (
        ROOT / "csrc" / engine,
        ROOT / "csrc" / "bindings" / f"{group}.cpp",
    ):
        assert part.exists() or not core_functions(op), part
    # A test of its own, or the group's, which runs through all of its operators.
    assert any((ROOT / "tests" / f"test_{name}.py").exists() for name in (op, group)), op
    stub = (PACKAGE / "_core.pyi").read_text()
    for function in core_functions(op):
        assert f"def {function}(" in stub
    assert any((ROOT / "bench" / f"{name}.py").exists() for name in (op, group)), (
        f"bench/{op}.py or bench/{group}.py"
    )
