"""A page as a browser would read it."""

import json
from html.parser import HTMLParser

VOID = {"meta", "path", "polygon", "br", "line", "circle"}


class Reader(HTMLParser):
    """Collects what a browser would see, and complains of tags that do not match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.scripts, self.words = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += text
        elif self.open and self.open[-1] != "style":
            self.words.append(text)

    def all(self, tag, kind=""):
        return [a for name, a in self.tags if name == tag and kind in a.get("class", "").split(" ")]

    @property
    def text(self):
        return " ".join(self.words)

    @property
    def payload(self):
        return json.loads(self.scripts[1])
