"""The shape of the package: who imports whom, what an import does, and what no module may do.

Each rule is a function from a source file to its violations. It is applied to every module, and
to a file that breaks it, so that a rule that has stopped seeing anything is noticed.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

import sparse_transformers

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "sparse_transformers"
MODULES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS = sorted(REPOSITORY.glob("*.py"))

SUBPACKAGES = {
    "utils",
    "models",
    "training",
    "interpretability",
    "efficiency",
    "claims",
    "demos",
    "experiments",
}

# Row: a sub-package or a top-level module. Value: what of ours it may import, besides itself.
# `__init__` stands for a name taken from the package itself, as in `from sparse_transformers import
# Dense`: inside the package that is a circle.
MAY_IMPORT = {
    "utils": set(),
    "models": set(),
    "training": {"models", "utils"},
    "interpretability": {"models", "utils"},
    "efficiency": {"models", "utils"},
    "claims": {"models", "training", "utils"},
    "demos": {"models", "training", "utils"},
    "experiments": SUBPACKAGES,
    "__init__": SUBPACKAGES - {"experiments"},
    "plot": {"interpretability", "models", "utils"},
    "commands": SUBPACKAGES,
    "cli": {"commands"},
    "__main__": {"cli"},
}

OPTIONAL = {
    "local_attention",
    "matplotlib.pyplot",
    "networkx",
    "nltk",
    "plotly",
    "seaborn",
    "tensorboard",
    "textstat",
    "transformers",
    "wandb",
    "x_transformers",
}
MAY_PRINT = {PACKAGE / "cli.py", *PACKAGE.glob("commands/*.py"), REPOSITORY / "demo.py"}
UNPICKLERS = {"cloudpickle", "dill", "joblib", "pickle", "shelve"}


def row_of(path: Path, package: Path) -> str:
    """The row of `MAY_IMPORT` that a file of the package stands in."""
    return path.relative_to(package).with_suffix("").parts[0]


def imports(path: Path, package: Path = PACKAGE) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything a file imports, in functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node.lineno, name.name
        elif isinstance(node, ast.ImportFrom):
            parts = [node.module] if node.module else []
            if node.level:
                parts = [*path.parents[node.level - 1].relative_to(package.parent).parts, *parts]
            for name in node.names:
                yield node.lineno, ".".join([*parts, name.name])


def forbidden_directions(path: Path, package: Path = PACKAGE) -> list[str]:
    """Imports of our own modules that `MAY_IMPORT` does not list.

    The models may use the plots, where a pattern or a layout is drawn.
    """
    row = row_of(path, package)
    violations = []
    for line, name in imports(path, package):
        root, *rest = name.split(".")
        if root == "demo":
            target = "demo"
        elif root == package.name:
            target = rest[0] if rest and rest[0] in MAY_IMPORT else "__init__"
        else:
            continue
        is_drawn = row == "models" and name.startswith(f"{package.name}.utils.plots.")
        if target != row and target not in MAY_IMPORT[row] and not is_drawn:
            violations.append(f"{path}:{line}: {row} imports {target} ({name})")
    return violations


def module_of(path: Path, package: Path) -> str:
    """The dotted name of a file of the package."""
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def circles(paths: list[Path], package: Path = PACKAGE) -> list[list[str]]:
    """Groups of modules that import each other, by whatever way round."""
    modules = {module_of(path, package): path for path in paths}
    graph = nx.DiGraph()
    for name, path in modules.items():
        for _, imported in imports(path, package):
            target = imported if imported in modules else imported.rpartition(".")[0]
            if target in modules:
                graph.add_edge(name, target)
    return [
        sorted(group)
        for group in nx.strongly_connected_components(graph)
        if len(group) > 1 or graph.has_edge(*list(group) * 2)
    ]


def figures_in_a_report(path: Path, package: Path = PACKAGE) -> list[str]:
    """Words are made from results, as figures are: neither is made from the other."""
    return [
        f"{path}:{line}: a report imports {name}"
        for line, name in imports(path, package)
        if path.name == "report.py" and "figures" in name.split(".")
    ]


def calls(path: Path) -> Iterator[tuple[ast.Call, str]]:
    """Every call and its full name: after `import torch as t`, `t.load` is `torch.load`."""
    tree = ast.parse(path.read_text())
    full_names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            full_names |= {name.asname: name.name for name in node.names if name.asname}
        elif isinstance(node, ast.ImportFrom):
            full_names |= {n.asname or n.name: f"{node.module}.{n.name}" for n in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            first, dot, rest = ast.unparse(node.func).partition(".")
            name = full_names.get(first, first) + dot + rest
            yield node, name.removeprefix("builtins.")


def prints(path: Path) -> list[str]:
    return [f"{path}:{call.lineno}: prints" for call, name in calls(path) if name == "print"]


def evaluations(path: Path) -> list[str]:
    return [
        f"{path}:{call.lineno}: calls {name}"
        for call, name in calls(path)
        if name in {"eval", "exec"}
    ]


def unsafe_loads(path: Path) -> list[str]:
    """Ways to run a stranger's code by reading a file: unpickling, and `torch.load` on trust.

    The one permitted name is the error that `torch.load` raises for a corrupt file.
    """
    violations = [
        f"{path}:{line}: imports {name}"
        for line, name in imports(path)
        if name.split(".")[0] in UNPICKLERS and name != "pickle.UnpicklingError"
    ]
    for call, name in calls(path):
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        if name == "torch.load" and options.get("weights_only") != "True":
            violations.append(f"{path}:{call.lineno}: torch.load without weights_only=True")
    return violations


def modules_loaded_by(statement: str, folder: Path) -> set[str]:
    """The modules present after `statement` in a fresh interpreter started in `folder`.

    The interpreter refuses every look-up of a host and every connection.
    """
    program = f"""
import sys
def refuse_network(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise RuntimeError(f"import touched the network: {{event}} {{arguments}}")
sys.addaudithook(refuse_network)
{statement}
print(*sys.modules)
"""
    finished = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return set(finished.stdout.split())


@pytest.fixture
def source(tmp_path):
    """A function that writes a file of a small package and returns its path."""

    def write(text: str, name: str = "models/example.py") -> Path:
        path = tmp_path / "sparse_transformers" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


def test_package_has_modules():
    assert PACKAGE / "__init__.py" in MODULES


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_stands_in_the_table_and_imports_in_its_directions(path):
    assert row_of(path, PACKAGE) in MAY_IMPORT
    assert forbidden_directions(path) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("utils/example.py", "import sparse_transformers.models"),
        ("utils/example.py", "from ..models import attention_ops"),
        ("models/example.py", "from sparse_transformers.utils.runtime import environment"),
        ("models/deep/example.py", "from ...training import trainer"),
        ("models/example.py", "from sparse_transformers import utils"),
        ("models/example.py", "from sparse_transformers import Dense"),
        ("models/example.py", "import sparse_transformers as st"),
        ("models/example.py", "from .. import Dense"),
        ("models/example.py", "def f():\n    import sparse_transformers.efficiency.costs as c"),
        ("training/example.py", "from sparse_transformers.efficiency import costs"),
        ("efficiency/example.py", "from ..interpretability import causality"),
        ("interpretability/example.py", "import sparse_transformers.experiments"),
        ("experiments/example.py", "from sparse_transformers import cli"),
        ("experiments/example.py", "from demo import main"),
        ("training/example.py", "from ..claims import corpora"),
        ("claims/example.py", "from ..experiments import tour"),
        ("demos/example.py", "from ..claims import tokenizer"),
        ("__init__.py", "from .experiments import scaling"),
        ("__init__.py", "from . import experiments"),
        ("__main__.py", "from .training import trainer"),
    ],
)
def test_forbidden_direction_is_found(source, name, text):
    path = source(text, name)
    assert len(forbidden_directions(path, package=path.parents[name.count("/")])) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("models/example.py", "from . import attention_ops\nfrom .attention_ops import BACKENDS"),
        ("models/deep/example.py", "from ..attention_ops import BACKENDS"),
        ("models/example.py", "import torch.utils.checkpoint\nfrom torch import utils"),
        ("training/example.py", "from ..utils import runtime\nimport sparse_transformers.models"),
        ("experiments/example.py", "from sparse_transformers.efficiency import costs"),
        ("__init__.py", "from .models.attention_patterns import Dense"),
        ("__main__.py", "from .cli import main"),
    ],
)
def test_allowed_direction_is_not_found(source, name, text):
    path = source(text, name)
    assert forbidden_directions(path, package=path.parents[name.count("/")]) == []


def test_no_module_imports_itself_by_way_of_others():
    assert circles(MODULES) == []


@pytest.mark.parametrize(
    "statement", ["from .second import b", "def f():\n    from . import second"]
)
def test_circle_is_found(source, statement):
    paths = [
        source(statement, "models/first.py"),
        source("import sparse_transformers.models.third", "models/second.py"),
        source("from sparse_transformers.models.first import a", "models/third.py"),
        source("from sparse_transformers.models.first import a", "models/apart.py"),
    ]
    [circle] = circles(paths, package=paths[0].parents[1])
    assert [name.rpartition(".")[2] for name in circle] == ["first", "second", "third"]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_report_takes_nothing_from_figures(path):
    assert figures_in_a_report(path) == []


@pytest.mark.parametrize(
    "text",
    ["from . import figures", "from ..survey.figures import label", "import a.figures as f"],
)
def test_figures_in_a_report_are_found(source, text):
    path = source(text, "experiments/example/report.py")
    assert len(figures_in_a_report(path, package=path.parents[2])) == 1


@pytest.mark.parametrize("path", MODULES + SCRIPTS, ids=lambda path: path.name)
def test_module_does_nothing_that_none_may_do(path):
    assert unsafe_loads(path) == []
    assert evaluations(path) == []
    assert path in MAY_PRINT or prints(path) == []


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (prints, "print('loss')"),
        (prints, "import builtins\nbuiltins.print('loss')"),
        (evaluations, "eval('1 + 1')"),
        (evaluations, "exec(open('config.py').read())"),
        (unsafe_loads, "import pickle"),
        (unsafe_loads, "from pickle import UnpicklingError, loads"),
        (unsafe_loads, "def load(path):\n    import joblib"),
        (unsafe_loads, "import torch\ntorch.load('model.pt')"),
        (unsafe_loads, "import torch\ntorch.load('model.pt', weights_only=False)"),
        (unsafe_loads, "import torch\ntorch.load('model.pt', **options)"),
        (unsafe_loads, "import torch as t\nt.load('model.pt')"),
        (unsafe_loads, "import torch.nn\ntorch.load('model.pt')"),
        (unsafe_loads, "from torch import load\nload('model.pt')"),
    ],
)
def test_forbidden_act_is_found(source, rule, text):
    assert len(rule(source(text))) == 1


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (prints, "report.print('loss')"),
        (evaluations, "model.eval()"),
        (evaluations, "frame.eval('a + b')"),
        (unsafe_loads, "import torch\ntorch.load('model.pt', weights_only=True)"),
        (unsafe_loads, "import json\njson.load(file)"),
        (unsafe_loads, "from pickle import UnpicklingError"),
    ],
)
def test_permitted_act_is_not_found(source, rule, text):
    assert rule(source(text)) == []


def test_importing_the_package_loads_nothing_optional_and_stays_offline():
    assert modules_loaded_by("import sparse_transformers", REPOSITORY) & OPTIONAL == set()


def test_loaded_optional_package_is_found(tmp_path):
    (tmp_path / "wandb.py").touch()
    (tmp_path / "example.py").write_text("import wandb")
    assert modules_loaded_by("import example", tmp_path) & OPTIONAL == {"wandb"}


def test_touched_network_is_found(tmp_path):
    (tmp_path / "example.py").write_text("import socket\nsocket.getaddrinfo('localhost', 80)")
    with pytest.raises(AssertionError, match="import touched the network"):
        modules_loaded_by("import example", tmp_path)


def test_names_imported_on_use_are_all_there_and_wait_for_it():
    loaded = modules_loaded_by("import sparse_transformers", REPOSITORY)
    assert {"pandas", "scipy", "sklearn"}.isdisjoint(loaded)
    assert "pandas" in modules_loaded_by("from sparse_transformers import *", REPOSITORY)


def test_names_imported_on_use_are_known_to_type_checkers():
    """The block that only they read imports the same names from the same modules."""
    [block] = [
        node
        for node in ast.parse((PACKAGE / "__init__.py").read_text()).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    assert {
        name.name: line.module.removeprefix("sparse_transformers.")
        for line in block.body
        for name in line.names
    } == sparse_transformers._IMPORTED_ON_USE
    assert sparse_transformers._IMPORTED_ON_USE.keys() <= set(sparse_transformers.__all__)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        sparse_transformers.nothing  # noqa: B018
