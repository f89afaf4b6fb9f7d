"""Data of several inputs per sample: each prepared as it would be alone."""

import numpy as np
import pandas as pd
import pytest
import torch
from tests.data.several import ALL, IDS, IMAGES, LONG, MASK, TENSORS, WIDE, N, Rows, Y

from talweg.core import UserError
from talweg.data import Data, Inputs, Samples, Several, Table, as_samples, everything, load, split


def parts_of(data):
    parts = split(data)
    return parts.train, parts.validation, parts.test


@pytest.mark.parametrize("name", ["wide", "images"])
def test_each_input_is_prepared_as_if_it_were_alone(name):
    for ours, alone in zip(parts_of(load((ALL, Y))), parts_of(load((ALL[name], Y))), strict=True):
        assert isinstance(ours.x, Inputs)
        assert torch.equal(ours.x.named[name], alone.x)
        assert torch.equal(ours.y, alone.y)


def test_an_input_of_single_numbers_keeps_its_shape():
    for ours, alone in zip(parts_of(load((ALL, Y))), parts_of(load((LONG, Y))), strict=True):
        assert ours.x.named["long"].shape == (len(ours),)
        assert torch.equal(ours.x.named["long"], alone.x[:, 0])


def test_indices_and_truth_are_kept_as_they_are_and_rows_stay_together():
    numbered = {**ALL, "row": np.arange(N), "half": np.arange(N)[:, None] / 2}
    parts = split(load((numbered, Y)), scale=False)
    rows = []
    for part in (parts.train, parts.validation, parts.test):
        x = part.x.named
        assert list(x) == list(numbered)
        row = x["row"].numpy()
        rows += row.tolist()
        kinds = {name: values.dtype for name, values in x.items()}
        assert (kinds["row"], kinds["ids"], kinds["mask"]) == (torch.int64, torch.int64, torch.bool)
        assert kinds["wide"] == kinds["long"] == kinds["images"] == kinds["half"] == torch.float32
        np.testing.assert_array_equal(x["half"][:, 0], row / 2)
        np.testing.assert_array_equal(x["ids"], IDS[row])
        np.testing.assert_array_equal(x["mask"], MASK[row])
        np.testing.assert_array_equal(x["images"], IMAGES[row])
        np.testing.assert_array_equal(x["wide"], WIDE[row].astype(np.float32))
        np.testing.assert_array_equal(part.y, Y[row])
    assert sorted(rows) == list(range(N))
    scaled = split(load((numbered, Y))).train.x.named
    assert torch.equal(scaled["row"], parts.train.x.named["row"])
    assert torch.equal(scaled["mask"], parts.train.x.named["mask"])


def test_held_out_rows_change_nothing_in_the_training_part():
    numbered = load(({"row": np.arange(N), "x": WIDE}, Y))
    before = split(numbered)
    held = np.setdiff1d(np.arange(N), before.train.x.named["row"].numpy())
    changed = WIDE.copy()
    changed[held] = 1e6
    after = split(load(({"row": np.arange(N), "x": changed}, Y)))
    assert torch.equal(before.train.x.named["x"], after.train.x.named["x"])
    assert not torch.equal(before.test.x.named["x"], after.test.x.named["x"])


def test_notes_and_columns_are_those_of_each_input():
    gappy, flat = WIDE.copy(), WIDE.copy()
    gappy[3:6, 1] = np.nan
    flat[:, 2] = 7.0
    parts = split(load(({"a": gappy, "b": flat, "ids": IDS, "age": LONG * 0}, Y), missing="median"))
    assert parts.notes == (
        "x['a']: 3 missing values were filled with the training part's median: x1",
        "x['b']: 1 column is constant in the training part and carries nothing: x2",
        "x['age']: 1 column is constant in the training part and carries nothing: x0",
    )
    assert parts.features[:4] == ("x['a'] x0", "x['a'] x1", "x['a'] x2", "x['b'] x0")
    alone = split(load((gappy, Y), missing="median"))
    assert torch.equal(parts.train.x.named["a"], alone.train.x)


@pytest.mark.parametrize(
    "source",
    [
        ((WIDE, IDS), Y),
        (TENSORS, torch.tensor(Y)),
        [(WIDE, IDS), Y.tolist()],
        Rows((WIDE, IDS)),
        Samples(Inputs(TENSORS), torch.tensor(Y)),
        (Inputs(TENSORS), Y),
        Data("t", "classification", Several({0: WIDE, 1: IDS}), Y, ("a", "b")),
    ],
)
def test_inputs_in_order(source):
    found = split(load(source))
    wanted = split(load(({"a": WIDE, "b": IDS}, Y)))
    assert found.train.x.named == {}
    for ours, theirs in zip(found.test.x.positional, wanted.test.x.named.values(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    "source",
    [
        ({"a": WIDE.tolist(), "b": TENSORS[1]}, Y),
        Rows({"a": WIDE, "b": IDS}),
        Samples(Inputs((), {"a": TENSORS[0], "b": TENSORS[1]}), torch.tensor(Y)),
    ],
)
def test_inputs_by_name(source):
    found, wanted = (split(load(each)).test.x for each in (source, ({"a": WIDE, "b": IDS}, Y)))
    assert found.positional == ()
    assert {name: values.tolist() for name, values in found.named.items()} == {
        name: values.tolist() for name, values in wanted.named.items()
    }


def test_some_in_order_and_some_by_name():
    x = split(load(Samples(Inputs(TENSORS[:1], {"b": TENSORS[1]}), torch.tensor(Y)))).train.x
    assert len(x.positional) == 1
    assert list(x.named) == ["b"]


@pytest.mark.parametrize("by_name", [False, True])
def test_a_data_frame_among_them_is_a_table(by_name):
    frame = pd.DataFrame({"age": LONG, "city": ["Rome", "Oslo"] * (N // 2)})
    x = {"table": frame, "images": IMAGES} if by_name else (frame, IMAGES)
    loaded = load((x, Y))
    assert isinstance(loaded.features.inputs["table" if by_name else 0], Table)
    inputs = split(loaded).train.x
    table, images = inputs.named.values() if by_name else inputs.positional
    assert torch.equal(table, split(load((frame, Y))).train.x)
    assert torch.equal(images, split(load((IMAGES, Y))).train.x)
    frame.loc[3, "age"] = np.nan
    assert split(load(({"table": frame}, Y))).notes[0].startswith("x['table']: 1 missing value")
    with pytest.raises(UserError, match=r"x\['table'\]: features hold 1 missing value"):
        load(({"table": frame, "images": IMAGES}, Y))


def test_rows_without_a_target_are_dropped_from_every_input():
    y = Y.astype(float)
    y[[0, 7]] = np.nan
    data = load(({"row": np.arange(N), "x": WIDE}, y))
    assert len(data) == len(data.features) == N - 2
    assert data.features.inputs["row"].tolist() == [row for row in range(N) if row not in (0, 7)]
    np.testing.assert_array_equal(data.features.inputs["x"], np.delete(WIDE, [0, 7], 0))


def test_everything_is_prepared_by_all_rows():
    data = load((ALL, Y))
    for samples in (everything(data), as_samples(data)):
        wide, long = samples.x.named["wide"], samples.x.named["long"]
        np.testing.assert_allclose(wide.mean(0), np.zeros(3), atol=1e-5)
        np.testing.assert_allclose(long.std(correction=0), 1, rtol=1e-4)
        assert torch.equal(samples.x.named["ids"], torch.tensor(IDS))


def test_the_users_arrays_are_copied():
    wide, ids, mask = WIDE.copy(), IDS.copy(), MASK.copy()
    x = split(load(({"wide": wide, "ids": ids, "mask": mask}, Y)), scale=False).train.x
    for values in x.named.values():
        values.zero_()
    assert (wide == WIDE).all()
    assert (ids == IDS).all()
    assert (mask == MASK).all()


def test_a_single_array_of_truth_is_still_numbers():
    assert split(load((MASK, Y)), scale=False).train.x.dtype == torch.float32


def test_arrays_of_an_npz_file_beside_the_target_are_inputs(tmp_path):
    np.savez(tmp_path / "t.npz", ids=IDS, wide=WIDE, label=Y)
    data = load(tmp_path / "t.npz", target="label")
    assert data.notes == ("inputs are arrays ids, wide",)
    assert data.target_name == "label"
    found, wanted = (split(each).test.x for each in (data, load(({"ids": IDS, "wide": WIDE}, Y))))
    assert torch.equal(found.named["wide"], wanted.named["wide"])
    assert torch.equal(found.named["ids"], wanted.named["ids"])
