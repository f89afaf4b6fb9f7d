"""`talweg.watch` on two processes that share a batch: the first one watches."""

import contextlib
import os
import socket

import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

import talweg

WORLD, STEPS = 2, 30


def work(rank: int, port: int) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=WORLD)
    x = torch.randn(64, 8, generator=torch.Generator().manual_seed(1))
    y = (x[:, 0] * x[:, 1] > 0).long()
    ends = []
    for watches in (False, True):
        torch.manual_seed(0)
        inner = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 16), nn.Linear(16, 2))
        model = DistributedDataParallel(inner)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        watch = watches and rank == 0
        with talweg.watch(model, optimizer) if watch else contextlib.nullcontext() as health:
            for _ in range(STEPS):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x[rank::WORLD]), y[rank::WORLD]).backward()
                optimizer.step()
        ends.append(inner.state_dict())
        if health is not None:
            print(health)
            assert [layer.name for layer in health.setting.layers] == ["0", "2", "3"]
            assert [finding.name for finding in health.findings] == ["no activation"]
            assert health.steps == STEPS
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    dist.barrier()  # nobody leaves while another is still at work
    dist.destroy_process_group()


if __name__ == "__main__":
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spawn(work, args=(port,), nprocs=WORLD)
