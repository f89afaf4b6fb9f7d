"""`talweg.watch` with Lightning, which makes its optimizer itself and never calls the model."""

import warnings

import lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import talweg

warnings.filterwarnings("ignore", module="lightning")


class Classifier(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2)
        )

    def training_step(self, batch, _):
        x, y = batch
        return nn.functional.cross_entropy(self.net(x), y)

    def validation_step(self, batch, _):
        self.log("validation", self.training_step(batch, _))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


def fitted(bias: float) -> talweg.diagnose.Health:
    """A model whose second layer starts with this bias in most of its units."""
    lightning.seed_everything(0, verbose=False)
    x = torch.randn(512, 20)
    y = (x[:, :4].sum(1) > 0).long()
    model = Classifier()
    with torch.no_grad():
        model.net[2].bias[4:] += bias
    trainer = lightning.Trainer(
        max_epochs=5, accelerator="cpu", gradient_clip_val=1.0, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    loader = DataLoader(TensorDataset(x, y), batch_size=32)
    with talweg.watch(model) as health:
        trainer.fit(model, loader, loader)
    return health


health = fitted(bias=-10.0)
print(health)
assert ("dead units", "net.2") in [(finding.name, finding.layer) for finding in health.findings]
assert health.steps == 5 * 16
assert all(moment.of("gradient rms") for moment in health.moments)
assert fitted(bias=0.0).findings == []
