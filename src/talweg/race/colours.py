"""The colours of rules in pictures of a race."""

COLOURS = (
    "#2572c1", "#df7210", "#2b6860", "#d20592", "#47107f", "#8d5d01", "#2999d7", "#8b2500",
    "#769766", "#8f59fc", "#564739", "#354764",
)  # fmt: skip
"""Those of the report on paper (a test compares them): far apart for normal, protan, deutan and
tritan eyes."""
INK, SOFT, FAINT, PAPER = "#1d2226", "#565e65", "#c3c7c6", "#fcfbf8"
