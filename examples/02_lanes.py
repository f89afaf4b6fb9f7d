"""Train lanes of your own choosing: every loss of every step, and the parameters at the end."""

import torch
from torch import nn

from talweg import lanes, rules


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))


x = torch.rand(200, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
y = torch.sin(3 * x[:, 0]) * x[:, 1]

rates = [0.003, 0.01, 0.03, 0.1]
run = lanes.train(
    net,
    (x, y),
    rules=[rules.Adam(lr=lr) for lr in rates] + [rules.Momentum(lr=lr) for lr in rates],
    seeds=[0],
    steps=300,
    batch_size=50,
)
print(run)
for lane, status in enumerate(run.status):
    print(lane, status, f"{run.losses[lane, :10].mean():.4f} → {run.losses[lane, -10:].mean():.4f}")

best = int(run.losses[:, -10:].mean(1).argmin())
model = net()
model.load_state_dict(run.params(best))
assert run.losses[best, -10:].mean() < 0.2 * run.losses[best, :10].mean()
