"""Hugging Face Trainer: an optimizer and its schedule, with a checkpoint to resume from."""

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
    get_linear_schedule_with_warmup,
    set_seed,
)

from talweg import optim

STEPS = 40


class Counting(Dataset):
    """Sequences of tokens; the label says which of two tokens is there more often."""

    def __init__(self) -> None:
        self.tokens = torch.randint(2, 4, (256, 9), generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        tokens = self.tokens[index]
        return {"input_ids": tokens, "labels": (2 * (tokens == 3).sum() > len(tokens)).long()}


def trained(folder: str, resume: bool = False) -> Trainer:
    set_seed(0)
    config = BertConfig(
        vocab_size=4, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=64, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    optimizer = optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    schedule = get_linear_schedule_with_warmup(optimizer, STEPS // 10, STEPS)
    arguments = TrainingArguments(
        folder, max_steps=STEPS, per_device_train_batch_size=32, save_steps=STEPS // 2,
        logging_steps=10, report_to=[], disable_tqdm=True, use_cpu=True, log_level="error",
    )  # fmt: skip
    trainer = Trainer(model, arguments, train_dataset=Counting(), optimizers=(optimizer, schedule))
    trainer.train(resume_from_checkpoint=f"{folder}/checkpoint-{STEPS // 2}" if resume else None)
    return trainer


with tempfile.TemporaryDirectory() as folder:
    whole = trained(folder)
    resumed = trained(folder, resume=True)
losses = [row["loss"] for row in whole.state.log_history if "loss" in row]
pairs = zip(whole.model.parameters(), resumed.model.parameters(), strict=True)
gap = max((a - b).abs().max().item() for a, b in pairs)
print(f"loss {float(losses[0]):.3f} to {float(losses[-1]):.3f}; resumed: {gap:.1e} apart")
assert float(losses[-1]) < 0.6 * float(losses[0])
assert gap < 1e-5
