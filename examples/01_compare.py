"""Compare three rules on a bundled data set, and use the winner."""

import tempfile

import torch

import talweg

with tempfile.TemporaryDirectory() as folder:
    study = talweg.compare(
        "mlp", "wine", rules=["sgd", "nesterov", "adam"], lrs=[0.003, 0.03, 0.3], epochs=8,
        seeds=3, out=f"{folder}/run", progress=False,
    )  # fmt: skip
    print(*study.sentences, sep="\n")
    print("the winner:", study.best)

    model = talweg.models.mlp(13, 3)
    model.load_state_dict(study.params())
    test = talweg.data.split(talweg.data.load("wine")).test
    accuracy = (model(test.x).argmax(1) == test.y).float().mean().item()
    assert abs(accuracy - study.ranking[0].scores[0]) < 1e-6
    assert torch.isfinite(torch.tensor(accuracy))
