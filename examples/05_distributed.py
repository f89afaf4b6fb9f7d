"""Data-parallel, sharded optimizer and fully sharded training, on two processes of this machine.

All three must reach what one process reaches on the whole batch.
"""

import os
import socket
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.fsdp import fully_shard
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from talweg import optim

WORLD, STEPS = 2, 10


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 2))


def samples(rank: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """The whole batch, or one process's half of it."""
    x = torch.randn(64, 8, generator=torch.Generator().manual_seed(1))
    y = (x[:, 0] * x[:, 1] > 0).long()
    return (x, y) if rank is None else (x[rank::WORLD], y[rank::WORLD])


def train(model: nn.Module, optimizer: torch.optim.Optimizer, x, y, steps: int = STEPS) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()


def gap(model: nn.Module, expected: list[torch.Tensor]) -> float:
    found = [p.full_tensor() if hasattr(p, "full_tensor") else p for p in model.parameters()]
    return max((a - b).abs().max().item() for a, b in zip(found, expected, strict=True))


def sharded(x, y, expected: list[torch.Tensor], folder: str) -> float:
    """FSDP2, with a sharded checkpoint halfway."""
    model = network()
    for layer in (model[0], model[2], model):
        fully_shard(layer)
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    train(model, optimizer, x, y, STEPS // 2)
    states = dict(zip(("model", "optimizer"), get_state_dict(model, optimizer), strict=True))
    dcp.save(states, checkpoint_id=folder)

    again = network()
    for layer in (again[0], again[2], again):
        fully_shard(layer)
    other = optim.Adam(again.parameters(), lr=1e-2)
    states = dict(zip(("model", "optimizer"), get_state_dict(again, other), strict=True))
    dcp.load(states, checkpoint_id=folder)
    set_state_dict(
        again, other, model_state_dict=states["model"], optim_state_dict=states["optimizer"]
    )
    train(again, other, x, y, STEPS - STEPS // 2)
    return gap(again, expected)


def work(rank: int, port: int, folder: str) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=WORLD)
    alone = network()
    train(alone, optim.Adam(alone.parameters(), lr=1e-2), *samples())
    expected = [param.detach() for param in alone.parameters()]
    x, y = samples(rank)

    model = DistributedDataParallel(network())
    train(model, optim.Adam(model.parameters(), lr=1e-2), x, y)
    gaps = {"DistributedDataParallel": gap(model, expected)}

    model = DistributedDataParallel(network())
    zero = ZeroRedundancyOptimizer(model.parameters(), optimizer_class=optim.Adam, lr=1e-2)
    train(model, zero, x, y)
    gaps["ZeroRedundancyOptimizer"] = gap(model, expected)

    gaps["fully_shard, resumed from a checkpoint"] = sharded(x, y, expected, folder)
    if rank == 0:
        for name, value in gaps.items():
            print(f"{name}: {value:.1e} from one process")
    assert max(gaps.values()) < 1e-5
    del model, zero
    dist.barrier()  # nobody leaves while another is still at work
    dist.destroy_process_group()


if __name__ == "__main__":
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as top:
        spawn(work, args=(port, str(Path(top) / "checkpoint")), nprocs=WORLD)
