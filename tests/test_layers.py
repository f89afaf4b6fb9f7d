"""Imports run downward only: no room of the house knows what stands on it or beside it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "talweg"
LEVELS = (
    ("core",),
    (
        "rules",
        "transforms",
        "schedules",
        "activations",
        "losses",
        "metrics",
        "landscapes",
        "models",
    ),
    ("data",),
    ("optim", "lanes", "diagnose"),
    ("study", "explain", "rates", "race"),
    ("report",),
    ("atlas",),
    ("cli",),
)
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
ASIDE = {("models", "activations"), ("rules", "transforms")}
OVER_ALL = {"__init__", "__main__"}
"""The package's own front: it may import anything, and only the command line may import it."""


def imported(tree: ast.AST, package: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Every module that a file imports, inside functions too, as its line and dotted path.

    Args:
        tree: The parsed file.
        package: The package that relative imports start from, such as ``["talweg", "study"]``.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name.split(".")
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            module = start + (node.module.split(".") if node.module else [])
            for alias in node.names:
                yield node.lineno, [*module, alias.name]
        elif isinstance(node, ast.Call) and node.args:
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            name = getattr(node.args[0], "value", None)
            if called in ("import_module", "__import__") and isinstance(name, str):
                yield node.lineno, name.split(".")


def offences(source: Path) -> list[str]:
    """One line for each import under ``source`` that does not run downward."""
    found = []
    for path in sorted(source.rglob("*.py")):
        parts = list(path.relative_to(source).with_suffix("").parts)
        room = parts[0]
        if room in OVER_ALL:
            continue
        where = f"{source.name}/{path.relative_to(source).as_posix()}"
        if room not in LEVEL:
            found.append(f"{where}: the room {room!r} has no level yet: add it to LEVELS")
            continue
        package = [source.name, *parts[:-1]]
        for line, target in imported(ast.parse(path.read_text(encoding="utf-8")), package):
            if target[0] == source.name:
                complaint = complaint_about(room, target)
                found += [f"{where}:{line}: {complaint}"] if complaint else []
    return found


def complaint_about(room: str, target: list[str]) -> str | None:
    """What is wrong with an import of ``target`` in ``room``, if anything."""
    other = target[1] if len(target) > 1 else ""
    shown = ".".join(target)
    if other not in LEVEL:
        if room == "cli":
            return None
        return f"{room} imports {shown}, which is no room but the front of the house"
    if other == room or LEVEL[other] < LEVEL[room] or (room, other) in ASIDE:
        return None
    side = "beside" if LEVEL[other] == LEVEL[room] else "above"
    return f"{room} imports {shown}, a room {side} it"


def test_imports_run_downward():
    found = offences(SOURCE)
    assert not found, "\n" + "\n".join(found)


def test_every_room_that_is_built_is_looked_at():
    rooms = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert {"core", "rules"} <= rooms
    assert rooms - OVER_ALL - {"__pycache__"} <= LEVEL.keys()


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """An empty package named talweg with a room of two floors."""
    source = tmp_path / "talweg"
    (source / "rules" / "deep").mkdir(parents=True)
    return source


BAD = [
    ("rules/a.py", "import talweg.study", "talweg/rules/a.py:1: rules imports talweg.study"),
    ("rules/a.py", "\nfrom talweg.data import x", "talweg/rules/a.py:2: rules imports talweg.data"),
    ("rules/a.py", "from talweg import study", "rules imports talweg.study, a room above it"),
    ("rules/a.py", "from talweg import losses", "rules imports talweg.losses, a room beside it"),
    ("rules/a.py", "from ..lanes import x", "rules imports talweg.lanes.x, a room above it"),
    ("rules/a.py", "from .. import study", "rules imports talweg.study, a room above it"),
    ("rules/deep/a.py", "from ...study import x", "talweg/rules/deep/a.py:1: rules imports"),
    ("rules/__init__.py", "from ..cli import x", "talweg/rules/__init__.py:1: rules imports"),
    ("rules/a.py", "def f():\n    import talweg.cli", "talweg/rules/a.py:2: rules imports talweg"),
    ("rules/a.py", "if 0:\n    from talweg.data import x", "talweg/rules/a.py:2: rules imports"),
    ("rules/a.py", "import os, talweg.cli as c", "talweg/rules/a.py:1: rules imports talweg.cli"),
    ("rules/a.py", "import_module('talweg.cli')", "talweg/rules/a.py:1: rules imports talweg.cli"),
    ("activations.py", "from talweg.models import x", "activations imports talweg.models.x"),
    ("data.py", "from talweg.optim import x", "data imports talweg.optim.x, a room above it"),
    ("rules/a.py", "import talweg", "rules imports talweg, which is no room but the front"),
    ("rules/a.py", "from talweg import compare", "imports talweg.compare, which is no room"),
    ("attic/a.py", "x = 1", "talweg/attic/a.py: the room 'attic' has no level yet"),
]


@pytest.mark.parametrize(("name", "text", "expected"), BAD)
def test_the_check_sees(house: Path, name: str, text: str, expected: str):
    (house / name).parent.mkdir(exist_ok=True)
    (house / name).write_text(text)
    (found,) = offences(house)
    assert expected in found


GOOD = [
    ("rules/a.py", "from talweg.core import Rule\nfrom talweg.rules.b import x\nfrom . import b"),
    ("rules/deep/a.py", "from ..b import x\nfrom . import c"),
    ("models.py", "from talweg.activations import x"),
    ("cli.py", "from talweg import study, lanes, core\nimport talweg.report"),
    ("cli.py", "from talweg import __version__"),
    ("__init__.py", "from talweg.cli import main\nfrom talweg import core"),
    ("__main__.py", "from talweg.cli import main"),
    ("core/a.py", "import os\nfrom torch import Tensor\nimport talwegian"),
]


@pytest.mark.parametrize(("name", "text"), GOOD)
def test_the_check_lets_pass(house: Path, name: str, text: str):
    (house / name).parent.mkdir(exist_ok=True)
    (house / name).write_text(text)
    assert offences(house) == []
