"""Accelerate: prepared, with accumulated gradients, clipping and a saved state."""

import tempfile

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from talweg import optim

torch.manual_seed(0)
x = torch.randn(256, 20)
y = (x[:, :4].sum(1) > 0).long()
model = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 2))
optimizer = optim.RMSprop(model.parameters(), lr=3e-3, momentum=0.5)
accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
loader = DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True)
model, optimizer, loader = accelerator.prepare(model, optimizer, loader)

with tempfile.TemporaryDirectory() as folder:
    for epoch in range(12):
        for some, labels in loader:
            with accelerator.accumulate(model):
                loss = nn.functional.cross_entropy(model(some), labels)
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
        if epoch == 5:
            accelerator.save_state(folder)
            accelerator.load_state(folder)
accuracy = (model(x).argmax(1) == y).float().mean().item()
print(f"accuracy {accuracy:.3f}")
assert accuracy > 0.95
