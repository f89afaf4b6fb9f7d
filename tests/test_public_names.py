"""``__all__`` tells the truth: what it lists exists and is explained, what is public is listed."""

import inspect
import subprocess
import sys
from importlib import import_module
from pkgutil import walk_packages
from types import ModuleType

import pytest

import talweg


def modules() -> list[ModuleType]:
    """The package and every module in it, but for scripts that run when imported."""
    names = [found.name for found in walk_packages(talweg.__path__, "talweg.")]
    return [talweg, *(import_module(name) for name in names if not name.endswith("__main__"))]


MODULES = modules()
WITH_ALL = [module for module in MODULES if hasattr(module, "__all__")]


def is_code(value: object) -> bool:
    return inspect.isclass(value) or inspect.isfunction(value)


def missing(module: ModuleType) -> list[str]:
    """Listed names that do not exist."""
    return [name for name in module.__all__ if not hasattr(module, name)]


def unlisted(module: ModuleType) -> list[str]:
    """Public functions and classes that are in the module, from its own code, and not listed."""
    own = module.__name__
    return [
        name
        for name, value in vars(module).items()
        if is_code(value)
        and not name.startswith("_")
        and (value.__module__ == own or value.__module__.startswith(f"{own}."))
        and name not in module.__all__
    ]


def unexplained(module: ModuleType) -> list[str]:
    """Listed functions and classes without a docstring of their own."""
    return [
        name
        for name in module.__all__
        if is_code(value := getattr(module, name)) and not has_docstring(value)
    ]


def has_docstring(value: object) -> bool:
    """Whether the source has one: a dataclass without it is given its signature in its place."""
    text = (vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__) or ""
    return bool(text.strip()) and not text.startswith(f"{value.__name__}(")


over_modules = pytest.mark.parametrize(
    "module", [pytest.param(module, id=module.__name__) for module in WITH_ALL]
)


@over_modules
def test_every_listed_name_exists_once(module: ModuleType):
    assert missing(module) == []
    assert len(set(module.__all__)) == len(module.__all__)


@over_modules
def test_every_public_name_is_listed(module: ModuleType):
    assert unlisted(module) == []


@over_modules
def test_every_listed_name_is_explained(module: ModuleType):
    assert unexplained(module) == []


def test_every_package_lists_its_names():
    packages = [module for module in MODULES if hasattr(module, "__path__")]
    assert [module.__name__ for module in packages if not hasattr(module, "__all__")] == []


def test_the_checks_see_what_is_wrong():
    code = """
__all__ = ["Bare", "Explained", "explained", "gone", "plain"]
from dataclasses import dataclass
from pathlib import Path
@dataclass
class Bare:
    x: int
class Explained:
    "Explained."
class Forgotten:
    "Public, not listed."
def _helper(): ...
def plain(): ...
def explained():
    "Explained."
"""
    made_up = ModuleType("made_up")
    sys.modules["made_up"] = made_up
    try:
        exec(code, made_up.__dict__)
    finally:
        del sys.modules["made_up"]
    assert missing(made_up) == ["gone"]
    assert unlisted(made_up) == ["Forgotten"]
    made_up.__all__.remove("gone")
    assert unexplained(made_up) == ["Bare", "plain"]


def test_importing_talweg_imports_nothing_that_takes_a_second():
    heavy = ("sklearn", "plotly.graph_objects", "pandas", "keras", "jax", "contourpy")
    ask = f"import sys, talweg; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
