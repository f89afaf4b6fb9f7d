"""The command line as a user meets it: real processes, output, exit codes and signals."""

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

import talweg
from talweg.cli import main
from talweg.cli.compare import show
from talweg.data import load, split
from talweg.models import source_of

TALWEG = [sys.executable, "-m", "talweg"]
QUICK = ["--rules", "sgd,adam", "--lrs", "0.01,0.1", "--seeds", "2", "--epochs", "3"]


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TALWEG, *arguments], cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )


def test_compare_prints_a_ranking_and_where_the_report_lies(tmp_path: Path):
    done = run("compare", "wine", *QUICK, "--out", "my run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "wine · mlp 13-128-128-3, relu · 106 train, 36 validation, 36 test" in done.stdout
    assert "Adam" in done.stdout
    assert "my run/report.html" in done.stdout
    assert "tuning: 8 lanes" in done.stderr
    assert (tmp_path / "my run" / "report.html").is_file()
    again = run("report", "my run", "--out", "copy.html", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "copy.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_the_ranking_leaves_out_the_columns_that_do_not_fit(columns: int, tmp_path: Path):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(80, 3))
    study = talweg.compare(
        "mlp", (x, 1e5 * x.sum(1)), rules=["sgd", "adam"], lrs=[0.01, 0.1], seeds=2, epochs=3,
        out=tmp_path / "run", progress=False,
    )  # fmt: skip
    screen = Console(file=io.StringIO(), width=columns)
    show(study, screen)
    shown = screen.file.getvalue()
    assert max(map(len, shown.splitlines())) <= columns
    assert "…" not in shown
    assert ("good" in shown) == (columns > 40)
    assert "rmse" in shown


def test_json_is_all_that_standard_output_holds(tmp_path: Path):
    (tmp_path / "net.py").write_text(
        "import torch\n\ndef Net():\n    return torch.nn.Linear(4, 3)\n"
    )
    done = run("compare", "net.py:Net", "--data", "iris", *QUICK, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["status"] == "complete"
    assert {row["rule"] for row in result["ranking"]} == {"sgd", "adam"}
    assert (tmp_path / result["report"]).is_file()


def test_precision_is_asked_for_by_name(tmp_path: Path):
    done = run("compare", "iris", *QUICK, "--precision", "bf16", "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "run" / "study.json").read_text())
    assert record["asked"]["precision"] == "bf16"
    done = run("find-lr", "iris", "--device", "cpu", "--precision", "tf32", cwd=tmp_path)
    assert done.returncode == 2
    assert "precision='tf32' needs a GPU, and lanes are on cpu" in done.stderr


def test_an_augmentation_comes_from_a_file(tmp_path: Path):
    (tmp_path / "own.py").write_text(
        "import torch\ndef jitter(x):\n    return x + torch.randn_like(x)\n"
    )
    words = ["--augment", "own.py:jitter", "--json"]
    done = run("compare", "iris", *QUICK, *words, "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "run" / "study.json").read_text())
    assert record["asked"]["augment"] == "jitter"
    words = ["--steps", "10", "--seeds", "2", "--quiet"]
    found = [
        run("find-lr", "iris", *words, "--augment", f"own.py:{name}", cwd=tmp_path)
        for name in ("jitter", "jotter")
    ]
    assert found[0].returncode == 0, found[0].stderr
    assert found[1].returncode == 2
    assert "unknown function in own.py 'jotter'; did you mean 'jitter'?" in found[1].stderr


def test_a_dry_run_says_what_would_be_trained_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    asked = ["talweg", "compare", "wine", *QUICK, "--dry-run", "--memory", "1G"]
    monkeypatch.setattr(sys, "argv", asked)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "tuning: 2 contenders × 2 rates × 2 seeds: 8 lanes" in shown
    assert "then: 2 contenders × 2 fresh seeds: 4 lanes" in shown
    for name in ("parameters", "state", "buffers", "results", "gradients", "activations"):
        assert f"largest lane: {name}" in shown
    assert "1.0 GB" in shown
    assert "time: about " in shown
    monkeypatch.setattr(sys, "argv", [*asked, "--json"])
    with pytest.raises(SystemExit):
        main()
    values = json.loads(capsys.readouterr().out)
    assert values["parts"][0]["allowed"] == 1_000_000_000
    assert values["parts"][0]["each"]["gradients"] == 4 * values["parts"][0]["parameters"]
    assert not list(tmp_path.iterdir())


def test_lanes_that_do_not_fit_wait_and_the_result_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    results: list[dict[str, object]] = []
    for memory in ("1G", "10M"):
        options = ["--tune-seeds", "4", "--memory", memory, "--out", memory, "--json"]
        monkeypatch.setattr(sys, "argv", ["talweg", "compare", "wine", *QUICK, *options])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        assert ended.value.code == 0, shown.err
        assert ("at a time, to keep below 10 MB" in shown.err) == (memory == "10M")
        results.append(json.loads(shown.out)["ranking"])
    assert results[0] == results[1]


BRANCHING = """
import torch


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = torch.nn.Linear(4, 8), torch.nn.Linear(8, 3)

    def forward(self, x):
        hidden = self.first(x)
        return self.last(hidden.relu() if hidden.mean() > 0 else hidden.tanh())
"""


def test_a_model_whose_path_depends_on_the_data_is_compared_one_lane_after_another(tmp_path: Path):
    (tmp_path / "net.py").write_text(BRANCHING)
    words = ["--rules", "sgd", "--lrs", "0.5", "--seeds", "3", "--tune-seeds", "1"]
    words += ["--epochs", "30", "--batch-size", "full", "--out", "run"]
    done = run("compare", "net.py:Net", "--data", "iris", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    reason = "it reads the value of a tensor in Python, as .item() or an if does"
    assert done.stderr.splitlines()[:2] == [
        f"this model cannot be stacked: {reason}",
        "lanes run one after another",
    ]
    study = talweg.load(tmp_path / "run")
    samples = split(load("iris"), seed=0).train
    net = source_of(f"{tmp_path / 'net.py'}:Net")
    paths = set()
    for seed in range(3):
        model = net.build(seed)
        for _ in range(30):
            paths.add(bool(model.first(samples.x).mean() > 0))
            loss = torch.nn.functional.cross_entropy(model(samples.x), samples.y)
            model.zero_grad()
            loss.backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= 0.5 * parameter.grad
        for name, value in study.params(seed).items():
            torch.testing.assert_close(value, model.state_dict()[name], rtol=0, atol=1e-5)
    assert paths == {True, False}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "digts"], "did you mean 'digits'"),
        (["compare", "wine", "--rules", "adma"], "did you mean 'adam'"),
        (["compare", "wine", "--lrs", "-1"], "lr must be a positive number, got -1"),
        (["compare", "wine", "--lrs", "fast"], "lrs must be numbers"),
        (["compare", "wine", "--hidden", "a,b"], "hidden must be whole numbers"),
        (["compare", "wine", "--memory", "much"], "memory must be an amount such as 300M"),
        (["compare", "wine", "--memory", "300k"], "one lane alone takes"),
        (["compare", "."], "is a folder without a .parquet file"),
        (["compare", "wine", "--batch-size", "some"], "batch_size must be a whole number or full"),
        (["compare", "wine", "--epohs", "3"], "--epochs"),
        (["compare", "net.py:Net", "--data", "wine"], "no model file 'net.py'"),
        (["compare", "net.py:Net"], "a model needs data"),
        (["compare", "empty.csv", "--target", "y"], "empty"),
        (["compare", "flats.csv", "--target", "prise"], "did you mean 'price'"),
        (["compare", "flats.csv"], "--target"),
        (["compare", "wine", "--out", "flats.csv/run"], "cannot write to the output folder"),
        (["compare", "wine", "--device", "meta"], "device 'meta' cannot be used here"),
        (["compare", "wine", "--reach", "inf"], "reach must be a finite number, got inf"),
        (["compare", "wine", "--hidden", "10000000000"], "cannot be built: RuntimeError"),
        (["compare", "leaves.py:Net", "--data", "wine"], "leaves.py cannot be imported: System"),
        (["compare", "raw.csv", "--target", "a"], "raw.csv"),
        (["race", "saddle", "--out", "no/x.html"], "cannot write 'no/x.html': no such file"),
        (["find-lr", "wine", "--out", "no/x.html"], "cannot write 'no/x.html': no such file"),
        (["report", "nowhere"], "is not a run folder: no such folder"),
        (["list", "rulez"], "did you mean 'rules'"),
        (["comparre"], "comparre"),
    ],
)
def test_bad_input_gives_one_line_and_exit_code_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit('no')\n")
    (tmp_path / "raw.csv").write_bytes(b"\x1b[31ma,b\n\x1b[31m,1,2\n")
    (tmp_path / "flats.csv").write_text("area,price\n" + "".join(f"{i},{i}.5\n" for i in range(40)))
    before = sorted(path.name for path in tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["talweg", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err
    assert shown.err.startswith("talweg: ")
    assert shown.err.count("\n") == 1
    assert shown.err.strip().isprintable()
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_real_process_fails_without_a_traceback(tmp_path: Path):
    done = run("compare", "wine", "--epochs", "0", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "talweg: epochs must be a whole number of at least 1, got 0\n"


def test_ctrl_c_before_anything_was_measured_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("talweg.cli.compare.prepare", interrupted)
    monkeypatch.setattr(sys, "argv", ["talweg", "compare", "iris"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "talweg: interrupted\n"


def test_race_prints_who_is_first(monkeypatch, capsys):
    words = ["talweg", "race", "saddle", "--rules", "sgd,momentum", "-q", "--picture"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "off the saddle" in shown
    assert "is first on saddle" in shown
    assert "Off the saddle at one rate, 0.01: Momentum after " in shown
    assert "★ minimum" in shown


def test_lists(tmp_path: Path):
    listed = run("list", "rules", cwd=tmp_path)
    assert listed.returncode == 0
    assert "rmsprop-nesterov" in listed.stdout
    assert "digits" in run("list", "data", cwd=tmp_path).stdout


def started(out: Path) -> subprocess.Popen[str]:
    """A long comparison, running since its folder is there."""
    process = subprocess.Popen(
        [*TALWEG, "compare", "wine", "--out", str(out), "--epochs", "2000", "--quiet"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A shell lets what it runs in the background ignore Ctrl-C, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    while not out.exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    return process


def test_ctrl_c_gives_a_partial_ranking(tmp_path: Path):
    process = started(tmp_path / "run")
    while len(list((tmp_path / "run" / "metrics").iterdir())) < 2:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    shown, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Stopped early (interrupted): a partial ranking." in shown
    assert "Traceback" not in errors
    study = talweg.load(tmp_path / "run")
    assert study.record["status"] == "interrupted"
    assert len(study.ranking) == 7
    assert (tmp_path / "run" / "report.html").is_file()


@pytest.mark.parametrize("which", range(3))
def test_a_kill_at_any_moment_leaves_a_folder_that_loads(which: int, tmp_path: Path):
    moment = random.Random(f"{os.getpid()} {which}").uniform(0, 4)
    print(f"killed after {moment} s")
    process = started(tmp_path / "run")
    time.sleep(moment)
    process.kill()
    process.communicate()
    study = talweg.load(tmp_path / "run")
    assert study.partial
    study.ranking, study.sentences  # noqa: B018 - they must not raise
    assert study.report().is_file()
