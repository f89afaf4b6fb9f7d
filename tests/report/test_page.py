"""The report as a file: whole, offline, safe and complete, whatever state the study is in."""

import base64
import hashlib
import json
import re
import subprocess

import pytest
from plotly.offline import get_plotlyjs
from tests.browser import BROWSER, needs_browser
from tests.report.reader import Reader

from talweg import report
from talweg.report.page import page

STATES = {
    "complete": {},
    "one seed": {"seeds": 1, "tune_seeds": 1},
    "rmse": {"kind": "regression", "metric": "rmse", "name": "diabetes"},
    "r2": {"kind": "regression", "metric": "r2", "name": "diabetes"},
    "all diverged": {"everything_diverges": True},
    "partial": {"measured": 60},
    "not begun": {"measured": 0},
    "one rule": {"rules": ("adam",)},
    "one rate": {"rate_count": 1},
}


def read(study):
    return Reader(page(study))


@pytest.fixture(params=STATES)
def any_study(request, make_study):
    return make_study(**STATES[request.param])


def test_nothing_is_fetched_from_anywhere(any_study):
    text = page(any_study)
    assert text.count(get_plotlyjs()) == 1
    own = text.replace(get_plotlyjs(), "")
    assert re.findall(r"https?:|//\w|@import|url\(|<link|\bsrc\s*=", own) == []
    links = [attributes["href"] for attributes in Reader(text).all("a")]
    assert all(link.startswith("#") for link in links)


def test_the_policy_allows_these_scripts_alone(any_study):
    reader = read(any_study)
    policy = next(a["content"] for a in reader.all("meta") if "http-equiv" in a)
    assert policy.startswith("default-src 'none';")
    executed = [text for place, text in enumerate(reader.scripts) if place != 1]
    hashes = {base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in executed}
    assert set(re.findall(r"'sha256-([^']+)'", policy)) == {h.decode() for h in hashes}
    assert "unsafe" not in policy.partition("script-src")[2].partition(";")[0]


def test_no_number_is_shown_as_nan_or_infinity(any_study):
    reader = read(any_study)
    shown = reader.text + json.dumps(reader.tags)
    assert re.findall(r"\b(nan|inf|None|NaN|Infinity)\b", shown) == []


def test_links_inside_the_page_lead_somewhere(any_study):
    reader = read(any_study)
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in reader.all("a")} <= set(ids)
    assert {a["aria-labelledby"] for a in reader.all("section") if "id" in a} <= set(ids)


def test_every_rule_is_in_the_table_in_the_order_of_the_ranking(any_study):
    rows = [a["data-contender"] for a in read(any_study).all("tr") if "data-contender" in a]
    assert rows == [row.name for row in any_study.ranking]


def test_texts_of_users_are_escaped_everywhere(make_study):
    nasty = "</script><script>alert(1)</script>"
    study = make_study(name=nasty)
    study.record["data"]["notes"] = [f"note {nasty}"]
    study.record["log"] = [f"log {nasty}"]
    for each in study.record["contenders"]:
        each["model"] = f"model {nasty}"
        each["label"] = f"{each['name']} {nasty}"
    text = page(study)
    reader = Reader(text)
    assert "<script>alert" not in text
    assert len(reader.scripts) == 4
    assert reader.payload["name"] == nasty
    assert not set("<>&") & set(reader.scripts[1])
    for words in (f"note {nasty}", f"log {nasty}", f"model {nasty}", f"adam {nasty}"):
        assert words in reader.text


def test_the_verdict_is_the_headline_and_the_rest_are_conclusions(make_study):
    study = make_study()
    text = re.sub(r"</?span[^>]*>", "", page(study))
    assert f"<h1>{study.sentences[0]}</h1>" in text
    reader = read(study)
    assert len(study.sentences) > 3
    for sentence in study.sentences[1:]:
        assert sentence.replace("<", "&lt;") in text or sentence in reader.text


def test_a_complete_study_has_no_banner_and_a_partial_one_says_what_it_ranks(make_study):
    assert read(make_study()).all("p", "banner") == []
    stopped = read(make_study(measured=60))
    assert len(stopped.all("p", "banner")) == 1
    assert "stopped before its end" in stopped.text
    assert "Validation accuracy" in stopped.text
    assert "60 of 161" in stopped.text
    running = make_study(measured=60)
    running.record["status"] = "running"
    assert "was still running or had been killed" in read(running).text


def test_one_seed_has_no_interval(make_study):
    text = read(make_study(seeds=1, tune_seeds=1)).text
    assert "one seed" in text
    assert "0.0 to" not in text


def test_accuracy_is_in_percent_and_rmse_is_not(make_study):
    accuracy, rmse = make_study(), make_study(kind="regression", metric="rmse")
    best = accuracy.ranking[0].score
    assert f"{100 * best:.1f}%" in read(accuracy).text
    text = read(rmse).text
    assert "Test RMSE" in text
    assert f"{rmse.ranking[0].score:.4g}" in text
    assert f"{rmse.ranking[0].score:.4g}%" not in text
    assert "lower is better" in text


def test_writing_replaces_the_file_and_leaves_nothing_else(make_study, tmp_path):
    target = tmp_path / "out" / "page.html"
    target.parent.mkdir()
    target.write_text("old")
    study = make_study()
    assert report.write(study, target) == target
    assert target.read_text(encoding="utf-8") == page(study)
    assert [file.name for file in target.parent.iterdir()] == ["page.html"]


def test_a_write_that_fails_leaves_the_old_file(make_study, tmp_path, monkeypatch):
    target = tmp_path / "out" / "page.html"
    target.parent.mkdir()
    target.write_text("old")

    def full(_):
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        report.write(make_study(), target)
    assert target.read_text() == "old"
    assert [file.name for file in target.parent.iterdir()] == ["page.html"]


def test_a_study_reports_itself_in_its_folder(make_study, tmp_path):
    assert make_study().report() == tmp_path / "report.html"
    assert (tmp_path / "report.html").stat().st_size > 1_000_000


@needs_browser
def test_a_browser_draws_every_figure_without_a_complaint(make_study, tmp_path):
    path = report.write(make_study(), tmp_path / "report.html")
    done = subprocess.run(
        [
            *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *(f"--user-data-dir={tmp_path / 'browser'}", "--enable-logging=stderr"),
            *("--virtual-time-budget=10000", "--dump-dom", f"{path.as_uri()}?theme=dark"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    drawn = done.stdout.replace(get_plotlyjs(), "")
    assert 'data-theme="dark"' in drawn
    canvases = re.findall(r'class="canvas[^"]*" id="([\w-]+)"', drawn)
    assert canvases == ["rates-0", "losses-0", "losses-1", "scores-0", "seeds-0"]
    assert len(re.findall(r'class="trace scatter', drawn)) >= 7 * len(canvases)
