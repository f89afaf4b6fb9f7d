"""The atlas: everything is on it, drawn, and a browser shows it without a complaint."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

import talweg
from talweg import atlas
from talweg.activations import ACTIVATIONS
from talweg.schedules import SCHEDULES


class Tags(HTMLParser):
    """Complains of tags that do not close."""

    ALONE = ("meta", "path")

    def __init__(self):
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, _attrs):
        if tag not in self.ALONE:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    return atlas.write(tmp_path_factory.mktemp("atlas") / "atlas.html")


def test_everything_is_on_it(page):
    text = page.read_text()
    tags = Tags()
    tags.feed(text)
    assert not tags.open
    for name in (*ACTIVATIONS, *(f"schedule-{name}" for name in SCHEDULES)):
        card = text[text.index(f'id="{name}"') :]
        card = card[: card.index("</article>")]
        assert len(re.findall(r'class="value', card)) >= 1, name
        drawn = max(re.findall(r' d="([^"]*)"', card), key=len)
        assert len(set(re.findall(r"[ML]([\d.]+) ", drawn))) > 60, name
    assert "nan" not in text
    assert "http:" not in text
    assert "https:" not in text


def test_it_needs_a_folder(tmp_path):
    with pytest.raises(talweg.UserError, match="cannot write"):
        atlas.write(tmp_path / "nowhere" / "atlas.html")


@pytest.mark.skipif(not shutil.which("chromium"), reason="no browser")
def test_a_browser_shows_it(page, tmp_path):
    done = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
         f"--user-data-dir={tmp_path}", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr
    assert done.stdout.count("<article") == len(ACTIVATIONS) + len(SCHEDULES)
