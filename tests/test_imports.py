"""Imports run one way, heavy packages stay in the files that need them, and --help answers at once."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "snowmatch"

# A package imports only packages named earlier.
FLOW = [
    "core",
    "photos",
    "models",
    "catalog",
    "screening",
    "features",
    "matching",
    "confidence",
    "identify",
    "api",
    "review",
    "survey",
    "views",
    "demo",
    "cli",
    "testing",
]
# What click sees of the package: answers and values, and not how they are made
FOR_CLI = {"core", "api", "review", "survey", "interchange", "views", "demo", "cli"}
PLUGINS = ("features/extractors", "matching/matchers")
# Plugins with NEEDS, and what they share: they import torch and other packages inside functions
NETWORKS = {
    "_network.py",
    *(p.name for folder in PLUGINS for p in (PACKAGE / folder).glob("[!_]*.py") if "NEEDS:" in p.read_text("utf-8")),
}
RANK = {name: i for i, name in enumerate(FLOW)}
ONLY_IN = {
    "faiss": {"matching/search/"},
    "h5py": {"features/"},
    "scipy": {"confidence/"},
    "sqlite3": {"catalog/"},
    "python_calamine": {"catalog/sheet.py"},
    "click": {"cli/"},
    "torch": {"features/extractors/", "matching/matchers/", "models/torch_io.py"},
    "kornia": {"features/extractors/", "matching/matchers/"},
    "safetensors": {"models/torch_io.py"},
    "platformdirs": {"models/cache.py"},
    "urllib": {"models/download.py"},  # the one place that uses the internet
}
# Imports inside functions: where a command or a plugin is used, and where a package takes longer to load than a query
LATE_IN = {"api.py", "__init__.py", "sheet.py", *NETWORKS}
FILES = sorted(PACKAGE.rglob("*.py"))


def imports(path):
    """(module, inside a function) of every import statement, but for those that only type checkers follow."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    checked = {
        id(n)
        for i in ast.walk(tree)
        if isinstance(i, ast.If) and isinstance(i.test, ast.Name) and i.test.id == "TYPE_CHECKING"
        for n in ast.walk(i)
    }
    inner = {
        id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef) for n in ast.walk(f)
    }
    for node in ast.walk(tree):
        if id(node) in checked:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in inner
        elif isinstance(node, ast.ImportFrom):
            yield node.module, id(node) in inner


def module_name(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    name = module_name(path)
    if name == "__init__":
        return
    for module, _ in imports(path):
        if module.startswith("snowmatch."):
            target = module.split(".")[1]
            assert RANK[target] <= RANK[name], f"{path.name} imports {module}, against the flow"
            assert name != "cli" or target in FOR_CLI, (
                f"{path.name} imports {module}: the command line sees api and views"
            )


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_packages_stay_where_they_belong(path):
    place = path.relative_to(PACKAGE).as_posix()
    for module, inner in imports(path):
        root = module.split(".")[0]
        assert place.startswith(tuple(ONLY_IN.get(root, {place}))), f"{place} imports {module}"
        late = path.name in LATE_IN or place.startswith("cli/")
        assert not inner or late, f"{place} imports {module} inside a function"
        network = root in ("torch", "kornia") and path.name in NETWORKS
        assert not network or inner, f"{place} imports {module} when it is listed: import it where it is used"


def fresh(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_help_needs_neither_numpy_nor_opencv():
    loaded = fresh(
        "import sys; from click.testing import CliRunner; from snowmatch.cli import main;"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0; print(*sys.modules)"
    )
    assert not {"numpy", "cv2", "faiss", "h5py", "scipy", "PIL"} & set(loaded)


def test_importing_the_package_loads_nothing_heavy_and_the_api_no_torch():
    assert not {"numpy", "cv2", "click"} & set(fresh("import sys, snowmatch; print(*sys.modules)"))
    assert not {"torch", "kornia", "click", "scipy"} & set(
        fresh("import sys, snowmatch; snowmatch.open_catalog; print(*sys.modules)")
    )


def test_every_module_has_a_place_in_the_flow():
    assert {module_name(p) for p in FILES} - {"__init__"} <= set(RANK)
