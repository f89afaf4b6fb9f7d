"""What goes wrong in a training loop of one's own, told while it runs: one line around it."""

import torch
from torch import nn

import talweg

x = torch.randn(512, 20, generator=torch.Generator().manual_seed(0))
y = (x[:, :4].sum(1) > 0).long()


def network(activation: type[nn.Module]) -> nn.Sequential:
    torch.manual_seed(0)
    hidden = [layer for _ in range(5) for layer in (nn.Linear(32, 32), activation())]
    return nn.Sequential(nn.Linear(20, 32), activation(), *hidden, nn.Linear(32, 2))


def watched(model: nn.Module) -> talweg.diagnose.Health:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with talweg.watch(model, optimizer) as health:
        for step in range(60):
            rows = torch.arange(64) + 64 * (step % 8)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return health


health = watched(network(nn.Sigmoid))
print(health)
(finding,) = [one for one in health.findings if one.name == "vanishing gradient"]
print(finding.meaning, "Try:", *finding.remedies, sep="\n  ")

cure = network(nn.ReLU)
for layer in cure:
    if isinstance(layer, nn.Linear):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
cured = watched(cure)
print("with ReLU:", cured, sep="\n")
assert "problem" not in [one.severity for one in cured.findings]
assert sum(cured.losses[-8:]) < 0.6 * sum(health.losses[-8:])
