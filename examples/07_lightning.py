"""Lightning: an optimizer and its schedule from `configure_optimizers`."""

import warnings

import lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from talweg import optim

warnings.filterwarnings("ignore", module="lightning")


class Classifier(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 2))

    def training_step(self, batch, _):
        x, y = batch
        return nn.functional.cross_entropy(self.net(x), y)

    def configure_optimizers(self):
        # Lightning steps with a closure, so this takes its gradients at the look-ahead point.
        optimizer = optim.Nesterov(self.parameters(), lr=0.05)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        return [optimizer], [schedule]


lightning.seed_everything(0, verbose=False)
x = torch.randn(512, 20)
y = (x[:, :4].sum(1) > 0).long()
model = Classifier()
trainer = lightning.Trainer(
    max_epochs=10,
    accelerator="cpu",
    gradient_clip_val=1.0,
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(model, DataLoader(TensorDataset(x, y), batch_size=32))
accuracy = (model.net(x).argmax(1) == y).float().mean().item()
print(f"accuracy {accuracy:.3f}, rate at the end {trainer.optimizers[0].param_groups[0]['lr']:.4f}")
assert accuracy > 0.95
