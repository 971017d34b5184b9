"""Imports: packages import in one direction, heavy packages only in the files that need them, and --help is fast."""

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
    "decisions",
    "screening",
    "features",
    "matching",
    "confidence",
    "identify",
    "api",
    "review",
    "survey",
    "interchange",
    "views",
    "demo",
    "web",
    "cli",
    "testing",
]
# The packages that the command line and the app may import: they have the answers, not the computations
FOR_PAGES = {"core", "api", "review", "survey", "interchange", "views", "demo"}
MAY_IMPORT = {"cli": {*FOR_PAGES, "web", "cli"}, "web": {*FOR_PAGES, "web"}}
PLUGINS = (
    "features/extractors",
    "matching/matchers",
    "screening/detectors",
    "screening/segmenters",
    "screening/classifiers",
    "interchange/importers",
    "interchange/exporters",
)
# Plugins with NEEDS, and the file they share: they import torch and other packages inside functions
NETWORKS = {
    "_network.py",
    *(p.name for folder in PLUGINS for p in (PACKAGE / folder).glob("[!_]*.py") if "NEEDS:" in p.read_text("utf-8")),
}
RANK = {name: i for i, name in enumerate(FLOW)}
ONLY_IN = {
    "faiss": {"matching/search/"},
    "h5py": {"features/"},
    "scipy": {"confidence/", "review/quarrels.py"},  # the second: minimum cuts
    "sqlite3": {"catalog/", "decisions/", "interchange/importers/"},
    "python_calamine": {"catalog/sheet.py"},
    "click": {"cli/"},
    "starlette": {"web/"},
    "uvicorn": {"web/"},
    "jinja2": {"web/"},
    "torch": {"features/extractors/", "matching/matchers/", "models/torch_io.py"},
    "kornia": {"features/extractors/", "matching/matchers/"},
    "safetensors": {"models/torch_io.py"},
    "onnxruntime": {"models/onnx.py"},
    "av": {"photos/videos.py"},
    "matplotlib": {"survey/figures.py"},
    "pyproj": {"survey/projection.py"},
    "xlsxwriter": {"interchange/exporters/xlsx.py"},
    "psutil": {"review/doctor/system.py", "matching/search/loaded.py"},
    "distributed": {"core/executor.py"},
    "platformdirs": {"models/cache.py"},
    "urllib": {"models/download.py"},  # the only file that uses the internet
    "http": {"models/cache.py", "models/download.py", "review/hook.py", "web/"},  # the hook: hosts that the user names
    "watchfiles": {"review/folder_changes.py"},
}
# Files that may import inside functions, so that a package loads only if it is used
LATE_IN = {
    "opened_catalog.py",
    "__init__.py",
    "executor.py",
    "sheet.py",
    "onnx.py",
    "videos.py",
    "folder_changes.py",
    "figures.py",
    "projection.py",
    *NETWORKS,
}
FILES = sorted(PACKAGE.rglob("*.py"))


def imports(path):
    """Yield (module, whether inside a function) of every import statement, except those for type checkers."""
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
def test_a_file_imports_only_from_earlier_packages(path):
    name = module_name(path)
    if name == "__init__":
        return
    for module, _ in imports(path):
        if module.startswith("snowmatch."):
            target = module.split(".")[1]
            assert RANK[target] <= RANK[name], f"{path.name} imports {module}, which is a later package in FLOW"
            assert target in MAY_IMPORT.get(name, RANK), f"{path.name} imports {module}: see MAY_IMPORT"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_packages_are_imported_only_in_their_files(path):
    place = path.relative_to(PACKAGE).as_posix()
    for module, inner in imports(path):
        root = module.split(".")[0]
        if module == "urllib.parse":  # texts of addresses
            continue
        assert place.startswith(tuple(ONLY_IN.get(root, {place}))), f"{place} imports {module}"
        late = path.name in LATE_IN or place.startswith("cli/")
        assert not inner or late, f"{place} imports {module} inside a function"
        network = root in ("torch", "kornia") and path.name in NETWORKS
        assert not network or inner, f"{place} imports {module} at the top of the file: import it inside a function"


def fresh(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_help_loads_neither_numpy_nor_opencv():
    loaded = fresh(
        "import sys; from click.testing import CliRunner; from snowmatch.cli import main;"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0; print(*sys.modules)"
    )
    assert not {"numpy", "cv2", "faiss", "h5py", "scipy", "PIL"} & set(loaded)


def test_importing_the_package_loads_no_numpy_and_the_api_loads_no_torch():
    assert not {"numpy", "cv2", "click"} & set(fresh("import sys, snowmatch; print(*sys.modules)"))
    assert not {"torch", "kornia", "click", "scipy"} & set(
        fresh("import sys, snowmatch; snowmatch.open_catalog; print(*sys.modules)")
    )


def test_every_module_is_listed_in_the_flow():
    assert {module_name(p) for p in FILES} - {"__init__"} <= set(RANK)
