"""`talweg.watch` with the Hugging Face Trainer, which makes its optimizer itself."""

import os
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from torch.utils.data import Dataset
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainingArguments,
    set_seed,
)

import talweg


class Counting(Dataset):
    """Sequences of tokens; the label says which of two tokens is there more often."""

    def __init__(self) -> None:
        self.tokens = torch.randint(2, 4, (128, 9), generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        tokens = self.tokens[index]
        return {"input_ids": tokens, "labels": (2 * (tokens == 3).sum() > len(tokens)).long()}


def trained(rate: float, folder: str) -> talweg.diagnose.Health:
    set_seed(0)
    config = BertConfig(
        vocab_size=4, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64,
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    arguments = TrainingArguments(
        folder, max_steps=60, per_device_train_batch_size=16, gradient_accumulation_steps=2,
        learning_rate=rate, eval_strategy="steps", eval_steps=20, save_strategy="no", report_to=[],
        disable_tqdm=True, use_cpu=True, log_level="error",
    )  # fmt: skip
    trainer = Trainer(model, arguments, train_dataset=Counting(), eval_dataset=Counting())
    with talweg.watch(model) as health:
        trainer.train()
    return health


with tempfile.TemporaryDirectory() as folder:
    health, hot = trained(1e-3, folder), trained(1.0, folder)
for name, one in (("rate 0.001", health), ("rate 1", hot)):
    print(f"{name}:", one, sep="\n")
assert health.steps == 60
assert health.moments[0].of("update ratio")
assert not [finding for finding in health.findings if finding.severity == "problem"]
assert [finding for finding in hot.findings if finding.severity == "problem"]
