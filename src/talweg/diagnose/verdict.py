"""What a watched run comes to, in a sentence."""

from talweg.core import counted
from talweg.diagnose.findings import SEVERITIES
from talweg.diagnose.findings.finding import Finding
from talweg.diagnose.health import Health

FEWEST = 2
"""Measured steps, for nothing found to mean something."""


def verdict(health: Health) -> str:
    """That nothing was found, or what was worst.

    >>> verdict(Health([], 20, "light"))
    'Nothing was measured in 0 steps'
    """
    found = by_name(health.findings)
    steps = counted(health.steps, "step")
    if not health.moments:
        return f"Nothing was measured in {steps}"
    if not found and len(health.moments) < FEWEST:
        return f"Nothing found in {steps}: too few to call it healthy"
    if not found:
        return f"Healthy: nothing found in {steps}"
    name, places = next(iter(found.items()))
    worst = places[0]
    where = f" in layer {worst.layer}" if worst.layer else ""
    is_over = worst.passed is not None and not worst.is_of_a_moment
    over = f", until step {worst.passed}" if is_over else ""
    return f"{name.capitalize()}{where}: {worst.text}{over}"


def by_name(findings: list[Finding]) -> dict[str, list[Finding]]:
    """Findings of one name together, each the worst first, and the worst name first.

    One that goes on is worse than one that passed, then the severity counts, then how long it has
    been there.
    """
    order = {severity: place for place, severity in enumerate(SEVERITIES)}
    found: dict[str, list[Finding]] = {}
    for one in sorted(
        findings, key=lambda one: (one.passed is not None, -order[one.severity], one.since)
    ):
        found.setdefault(one.name, []).append(one)
    return found
