"""talweg's optimizers where torch's were: schedules, clipping, accumulated and scaled gradients."""

import torch
from torch import nn

from talweg import optim

torch.manual_seed(0)
x = torch.randn(256, 20)
y = (x[:, :4].sum(1) > 0).long()
model = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 2))

decayed = [param for param in model.parameters() if param.dim() > 1]
others = [param for param in model.parameters() if param.dim() <= 1]
optimizer = optim.AdamW(
    [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}], lr=1e-3
)
steps, parts = 60, 4
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=steps)
scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)

for step in range(steps):
    for some, labels in zip(x.split(64), y.split(64), strict=True):
        with torch.autocast("cpu", torch.bfloat16):
            loss = nn.functional.cross_entropy(model(some), labels) / parts
        scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()
    schedule.step()
    if step % 20 == 19:
        print(f"step {step + 1}: loss {parts * loss.item():.3f}")

# The state is torch's: go on with torch.optim, or come from it.
theirs = torch.optim.AdamW(optimizer.param_groups, lr=1e-3)
theirs.load_state_dict(optimizer.state_dict())
accuracy = (model(x).argmax(1) == y).float().mean().item()
print(f"accuracy {accuracy:.3f}")
assert accuracy > 0.95
