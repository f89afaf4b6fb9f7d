"""What several tests of diagnosis share."""

import pytest

from talweg.diagnose import full, sharpness


@pytest.fixture
def thorough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Curvature at every measured step, with as many products as it takes."""
    monkeypatch.setattr(sharpness, "PRODUCTS", 60)
    monkeypatch.setattr(sharpness, "TOLERANCE", 1e-6)
    monkeypatch.setattr(full, "EVERY_FULL", 1)
    monkeypatch.setattr(sharpness, "MOST", 0)
