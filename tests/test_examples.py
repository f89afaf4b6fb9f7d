"""Every example runs, as a user would run it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(example: Path, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, str(example)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def blocks_of(page: str) -> list[str]:
    """The Python of a page."""
    text = (EXAMPLES[0].parent.parent / page).read_text()
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.parametrize(
    ("page", "made"),
    [("README.md", "report.html"), ("docs/optimizers.md", ""), ("docs/vocabulary.md", "")],
)
def test_the_python_of_a_page_runs(page: str, made: str, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks_of(page))],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / made).exists()


def test_the_rule_that_newcomers_are_shown(tmp_path: Path):
    """It is as the laws want it: a file that can be copied, whose docstring explains it."""
    (block,) = blocks_of("CONTRIBUTING.md")
    (tmp_path / "signsgd.py").write_text(block)
    script = (
        "import signsgd, talweg, torch\n"
        "about = talweg.explain(signsgd.SignSGD(0.5))\n"
        "assert '←' in about.formula and about.source and len(about.settings) == 1, about\n"
        "weight = torch.nn.Parameter(torch.ones(3))\n"
        "weight.grad = torch.tensor([2.0, 0.0, -1.0])\n"
        "talweg.optim.OfRule([weight], signsgd.SignSGD(0.5)).step()\n"
        "assert weight.tolist() == [0.5, 1.0, 1.5]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
