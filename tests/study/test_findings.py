"""What went wrong in the lanes of a study."""

from dataclasses import asdict

import pytest
from tests.study.made import Maker, record

import talweg
from talweg.diagnose import Layer
from talweg.study.findings import by_rate, findings_of, moments_of, reasons
from talweg.study.ranking import rank
from talweg.study.sentences import sentences

LAYERS = [
    asdict(Layer("1", "Linear", "weight", "relu", 16)),
    asdict(Layer("3", "Linear", "weight", "relu", 8)),
]


def made(dead: dict[tuple[str, float, int], list[tuple[float, float]]]) -> Maker:
    """Two rules, two rates, two seeds; shares of dead units of both layers at readings."""
    maker = Maker(record({"a": [0.1, 1.0], "b": [0.1, 1.0]}))
    for contender in maker.record["contenders"]:
        contender["layers"] = LAYERS
        contender["start"] = {"loss": {"": 2.0}}
    for rule in "ab":
        for lr in (0.1, 1.0):
            for seed in (1000, 1001):
                maker.lane("tune", rule, lr, seed, [0.1, 0.5, 0.9])
                lane = maker.record["lanes"][-1]["lane"]
                for epoch, shares in enumerate(dead.get((rule, lr, seed), [(0.0, 0.0)] * 3)):
                    for layer, share in zip(("3", "1"), shares, strict=True):
                        maker.rows.append(
                            (lane, 10 * epoch, float(epoch), "layers", f"dead {layer}", share)
                        )
    return maker


def test_what_is_measured_of_a_lane_is_told_step_by_step_in_the_order_of_the_layers():
    history = made({("a", 1.0, 1000): [(0.0, 0.0), (0.5, 0.1), (0.6, 0.2)]}).history()
    lane = next(each for each in history.lanes if (each.lr, each.seed) == (1.0, 1000))
    moments = moments_of(history, lane)
    assert [moment.step for moment in moments] == [0, 10, 20]
    assert moments[0].one("loss") == 2.0
    assert list(moments[1].of("dead").items()) == [("1", 0.1), ("3", 0.5)]


def test_a_reason_needs_most_of_the_seeds_and_names_the_worst_layer():
    bad = [(0.0, 0.0), (0.5, 0.45), (0.75, 0.45)]
    both = {("a", 1.0, 1000): bad, ("a", 1.0, 1001): bad, ("b", 1.0, 1000): bad}
    history = made(both).history()
    (found,) = by_rate(history, "a")[1.0]
    assert (found.name, found.seeds, found.layers) == ("dead units", 2, ("3", "1"))
    assert found.worst.began == 10
    assert by_rate(history, "b") == {}
    assert len(findings_of(history, "b")) == 2
    assert reasons(history) == {
        "a": "A at 1: dead units (layer 3: 75% of its 8 units are dead, and 1 layer more, from "
        "step 10)."
    }


def test_what_a_lane_got_over_is_no_reason():
    over = [(0.0, 0.0), (0.9, 0.9), (0.0, 0.0)]
    history = made({("a", 1.0, 1000): over, ("a", 1.0, 1001): over}).history()
    assert by_rate(history, "a") == {}
    assert {each.finding.passed for each in findings_of(history, "a")} == {20}


def paced(low: list[float], high: list[float]) -> Maker:
    """A rule's training losses from 2.0 on, at a lower rate and at the one that does best."""
    maker = Maker(record({"a": [0.1, 1.0]}))
    maker.record["contenders"][0] |= {"layers": LAYERS, "start": {"loss": {"": 2.0}}}
    for lr, losses, score in ((0.1, low, 0.5), (1.0, high, 0.9)):
        for seed in (1000, 1001):
            maker.lane("tune", "a", lr, seed, [0.1, score, score])
            lane = maker.record["lanes"][-1]["lane"]
            for epoch, loss in enumerate(losses, start=1):
                maker.rows.append((lane, 10 * epoch, float(epoch), "train", "loss", loss))
    return maker


def test_a_rate_that_comes_half_as_far_as_the_best_is_too_small():
    history = paced([1.9, 1.75], [1.5, 1.0]).history()
    (found,) = by_rate(history, "a")[0.1]
    assert (found.name, found.seeds) == ("learning rate too small", 2)
    text = "at a rate of 0.1 the loss has come 25% of the way that it comes at 1"
    assert found.worst.text == text
    assert found.worst.began == 20
    assert 1.0 not in by_rate(history, "a")
    assert reasons(history) == {}


@pytest.mark.parametrize(
    ("low", "high"),
    [
        pytest.param([1.8, 1.4], [1.5, 1.0], id="60% of the way"),
        pytest.param([2.0, 2.0], [1.9, 1.7], id="the best hardly learns either"),
        pytest.param([1.2], [1.6, 1.0], id="stopped early, and not behind at that step"),
    ],
)
def test_a_rate_is_not_called_too_small(low: list[float], high: list[float]):
    assert by_rate(paced(low, high).history(), "a") == {}


def test_a_record_without_layers_has_no_findings():
    maker = made({})
    for contender in maker.record["contenders"]:
        del contender["layers"], contender["start"]
    history = maker.history()
    assert findings_of(history, "a") == []
    assert reasons(history) == {}


@pytest.fixture(scope="module")
def deep(tmp_path_factory) -> talweg.Study:
    return talweg.compare(
        data="digits",
        rules=["sgd"],
        activations=["sigmoid", "relu"],
        hidden=[16] * 8,
        lrs=[0.01, 30.0],
        epochs=2,
        seeds=2,
        out=tmp_path_factory.mktemp("deep") / "run",
        progress=False,
    )


def test_a_study_says_why_eight_sigmoid_layers_do_not_learn(deep):
    (text,) = [text for text in sentences(deep.history, deep.ranking) if "vanishing" in text]
    assert "at any rate: vanishing gradient (layer 1: the gradient falls by 0.4" in text
    assert {each.finding.name for each in deep.findings} >= {"vanishing gradient"}
    assert talweg.load(deep.folder).findings == deep.findings


def test_the_report_shows_what_went_wrong_at_which_rate(deep, tmp_path):
    page = deep.report(tmp_path / "report.html").read_text()
    begin = page.index('<table class="lost"')
    table = page[begin : page.index("</table>", begin)]
    assert table.count("vanishing gradient") >= 2
    assert 'class="problem"' in table


@pytest.mark.parametrize(
    ("at_1", "told"),
    [
        ((7, 8), []),
        ((7, None), ["A diverged at 10 in every seed, at 1 in some seeds."]),
        ((None, None), ["A diverged at 10 in every seed."]),
    ],
)
def test_divergence_is_told_unless_a_reason_tells_it(at_1: tuple[int | None, ...], told: list[str]):
    maker = Maker(record({"a": [0.1, 1.0, 10.0]}))
    maker.record["contenders"][0] |= {"layers": LAYERS, "start": {"loss": {"": 2.0}}}
    for lr, ends in ((0.1, (None, None)), (1.0, at_1), (10.0, (4, 4))):
        for seed, end in enumerate(ends, start=1000):
            maker.lane("tune", "a", lr, seed, [0.1, 0.9 if lr == 0.1 else 0.2], diverged=end)
            if end is None:
                loss = 1.0 if lr == 0.1 else 40.0
                lane = maker.record["lanes"][-1]["lane"]
                maker.rows.append((lane, 10, 1.0, "train", "loss", loss))
    history = maker.history()
    text = sentences(history, rank(history))
    assert [each for each in text if each.startswith("A diverged")] == told
    assert any(each.startswith("A from 1 up: learning rate too large (") for each in text)
