"""A compiled model, and a compiled training step with the optimizer in it."""

import torch
from torch import nn

from talweg import optim

x = torch.randn(64, 8, generator=torch.Generator().manual_seed(1))
y = (x[:, 0] * x[:, 1] > 0).long()


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 2))


def trained(compiled: bool) -> nn.Module:
    model = network()
    optimizer = optim.Lion(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, total_iters=10)

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    # The optimizer's step is compiled already: torch.compile leaves it alone.
    run = torch.compile(step) if compiled else step
    for _ in range(10):
        run()
        schedule.step()
    return model


one, other = trained(compiled=True), trained(compiled=False)
with torch.no_grad():
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    gap = max((a - b).abs().max().item() for a, b in pairs)
print(f"compiled and plain: {gap:.1e} apart")
assert gap < 1e-5
