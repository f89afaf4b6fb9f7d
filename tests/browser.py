"""A real browser that opens a page, as a user would, and can be asked and clicked."""

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import websocket

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
needs_browser = pytest.mark.skipif(not BROWSER, reason="no chromium or chrome to open pages in")
SECONDS = 60
"""To wait for anything, at most."""


class Page:
    """An open page.

    Args:
        address: Of the browser's debugging socket for it.

    Attributes:
        complaints: Exceptions, and errors written to the console.
    """

    def __init__(self, address: str) -> None:
        self._socket = websocket.create_connection(address, timeout=SECONDS)
        self._asked = 0
        self.complaints: list[str] = []
        self._call("Runtime.enable")

    def _call(self, method: str, **params: Any) -> Any:
        self._asked += 1
        self._socket.send(json.dumps({"id": self._asked, "method": method, "params": params}))
        while True:
            answer = json.loads(self._socket.recv())
            params = answer.get("params", {})
            if answer.get("method") == "Runtime.exceptionThrown" or params.get("type") == "error":
                self.complaints.append(json.dumps(params))
            if answer.get("id") == self._asked:
                assert "result" in answer, answer
                return answer["result"]

    def close(self) -> None:
        """Lets go of it."""
        self._socket.close()

    def open(self, path: Path) -> None:
        """Goes to a file."""
        self._call("Page.navigate", url=path.as_uri())
        self.until("document.readyState === 'complete'")

    def resize(self, width: int, height: int) -> None:
        """Shows pages as a screen of that many pixels would."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **size)

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression that JSON can tell."""
        found = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        return found["result"].get("value")

    def until(self, expression: str) -> None:
        """Waits for an expression to be true."""
        end = time.monotonic() + SECONDS
        while not self.ask(f"Boolean({expression})"):
            assert time.monotonic() < end, f"waited in vain for {expression}"
            time.sleep(0.05)

    def click(self, element: str) -> None:
        """Clicks the middle of an element, given as a JavaScript expression."""
        x, y = self.ask(
            f"(() => {{ const box = ({element}).getBoundingClientRect();"
            "return [box.left + box.width / 2, box.top + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """An empty page of a browser whose profile lies in a folder."""
    process = subprocess.Popen(
        [
            *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *(f"--user-data-dir={folder}", "--remote-debugging-port=0"),
            *("--remote-allow-origins=*", "--window-size=1200,900", "about:blank"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        told = folder / "DevToolsActivePort"
        end = time.monotonic() + SECONDS
        while not told.is_file() or not told.read_text().strip():
            assert time.monotonic() < end, "the browser did not start"
            time.sleep(0.05)
        port = int(told.read_text().splitlines()[0])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
            pages = [entry for entry in json.load(answer) if entry["type"] == "page"]
        with closing(Page(pages[0]["webSocketDebuggerUrl"])) as page:
            yield page
    finally:
        process.kill()
        process.wait()
