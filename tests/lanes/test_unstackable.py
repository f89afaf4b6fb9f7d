"""What cannot be stacked runs one lane after another, and one line says why."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from tests.lanes.common import loop, needs_compiler, start
from torch import Tensor, nn, optim
from torch.nn.utils import parametrizations
from torch.nn.utils.rnn import pack_padded_sequence

from talweg import lanes, rules


class Model(nn.Module):
    """A linear map, a subclass's own doing, a linear map."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)
        self.keep()

    def keep(self) -> None:
        """What else the model keeps."""

    def between(self, x: Tensor) -> Tensor:
        return torch.tanh(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.between(self.first(x)))


class If(Model):
    def between(self, x: Tensor) -> Tensor:
        return x.relu() if x.mean() > 0 else x.tanh()


class Item(Model):
    def between(self, x: Tensor) -> Tensor:
        return x / (1 + x.detach().abs().max().item())


class While(Model):
    def between(self, x: Tensor) -> Tensor:
        while x.detach().norm() > 1:
            x = x / 2
        return x


class Binned(Model):
    def between(self, x: Tensor) -> Tensor:
        return x - torch.histc(x.detach(), 3).max() / len(x)


class Numpy(Model):
    def between(self, x: Tensor) -> Tensor:
        return x * torch.from_numpy(np.tanh(x.detach().numpy()))


class Chosen(Model):
    def between(self, x: Tensor) -> Tensor:
        return x.tanh() + x[x > 0].mean()


class Nonzero(Model):
    def between(self, x: Tensor) -> Tensor:
        return x.tanh() + len(torch.nonzero(x > 0)) / x.numel()


class Unique(Model):
    def between(self, x: Tensor) -> Tensor:
        return x.tanh() + len(x.detach().sign().unique())


class Stateful(Model):
    def keep(self) -> None:
        self.seen = 0.0

    def between(self, x: Tensor) -> Tensor:
        self.seen = 0.9 * self.seen + 0.1 * x.detach().mean()
        return torch.tanh(x - self.seen)


class Counting(Model):
    def keep(self) -> None:
        self.calls = 0

    def between(self, x: Tensor) -> Tensor:
        self.calls += self.training
        return x.tanh() / (1 + 0.1 * self.calls)


class Logging(Model):
    def keep(self) -> None:
        self.first.seen = []

    def between(self, x: Tensor) -> Tensor:
        self.first.seen.append(x.detach().mean())
        return x.tanh()


class Caching(Model):
    """Fills what it keeps at its first call, and keeps its last output for a look at it."""

    def keep(self) -> None:
        self.places = None

    def between(self, x: Tensor) -> Tensor:
        if self.places is None:
            self.places = torch.linspace(-1, 1, 8, dtype=x.dtype)
        self.output = (x + self.places).tanh()
        return self.output


class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.last = nn.LSTM(2, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        lengths = torch.full((len(x),), 3)
        packed = pack_padded_sequence(x.view(-1, 3, 2), lengths, batch_first=True)
        return self.last(self.lstm(packed)[1][0][-1])


class OwnLSTM(nn.LSTM):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.view(-1, 3, 2))[0][:, -1]


class Unruled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # noqa: ARG004
        return x.sign()

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:  # noqa: ARG004
        return grad


class OldGradient(Model):
    def between(self, x: Tensor) -> Tensor:
        return Unruled.apply(x)


class Drawing(Model):
    def keep(self) -> None:
        self.generator = torch.Generator().manual_seed(5)

    def between(self, x: Tensor) -> Tensor:
        return x.tanh() + torch.rand(x.shape, generator=self.generator)


class Inner(Model):
    def between(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            at = x.detach().requires_grad_()
            slope = torch.autograd.grad(at.pow(3).sum(), at)[0]
        return torch.tanh(x + 0.1 * slope)


def spectral() -> nn.Module:
    return nn.Sequential(
        parametrizations.spectral_norm(nn.Linear(6, 8)), nn.Tanh(), nn.Linear(8, 3)
    )


def old_spectral() -> nn.Module:
    return nn.Sequential(nn.utils.spectral_norm(nn.Linear(6, 8)), nn.Tanh(), nn.Linear(8, 3))


def scripted() -> nn.Module:
    return torch.jit.script(nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)))


def traced() -> nn.Module:
    return torch.jit.trace(Model(), torch.zeros(2, 6))


def already_compiled() -> nn.Module:
    return torch.compile(Model(), backend="eager")


def hooked() -> nn.Module:
    model = Model()
    model.first.register_forward_hook(lambda _, __, out: 2 * out)
    model.last.register_forward_pre_hook(lambda _, args: (args[0] + 1,))
    return model


def hooked_behind() -> nn.Module:
    model = Model()
    model.last.register_full_backward_hook(lambda _, found, __: (2 * found[0], *found[1:]))
    return model


VALUE = "it reads the value of a tensor in Python"
REASONS: dict[str, tuple[Callable[[], nn.Module], str | None]] = {
    "if": (If, VALUE),
    "item": (Item, VALUE),
    "while": (While, VALUE),
    "operator": (Binned, "torch cannot batch aten::histc"),
    "numpy": (Numpy, "it takes the values of a tensor out of torch, as .numpy() does"),
    "boolean index": (Chosen, "how much a boolean index gives depends on values"),
    "nonzero": (Nonzero, "how much aten::nonzero gives depends on values"),
    "unique": (Unique, "how much aten::_unique2 gives depends on values"),
    "plain tensor": (Stateful, "among others its outputs differ from alone"),
    "plain number": (Counting, "it changes calls, which is no buffer, at every step"),
    "growing list": (Logging, "it changes first.seen, which is no buffer"),
    "packed": (Packed, "torch cannot batch aten::_pack_padded_sequence"),
    "own lstm": (
        lambda: nn.Sequential(OwnLSTM(2, 5, batch_first=True), nn.Linear(5, 3)),
        "torch cannot batch aten::lstm",
    ),
    "old gradient": (OldGradient, "an autograd.Function in it has no setup_context"),
    "inner gradient": (Inner, "it takes gradients of its own in its forward"),
    "own generator": (Drawing, "among others its loss differs from alone"),
    "spectral norm": (spectral, "torch cannot batch aten::div"),
    "old spectral norm": (old_spectral, "torch cannot batch aten::div"),
    "script": (scripted, "it is a TorchScript module"),
    "trace": (traced, "it is a TorchScript module"),
    "cache": (Caching, None),
    "compiled": (already_compiled, None),
    "hooks": (hooked, None),
    "backward hook": (hooked_behind, "as a backward hook has none"),
}
"""Name → what builds a model, and why it cannot be stacked; None if it can."""


@pytest.mark.parametrize("name", REASONS)
def test_it_runs_and_is_right(name: str, data: tuple[Tensor, Tensor]):
    make, reason = REASONS[name]
    data = (data[0].double(), data[1])

    def build() -> nn.Module:
        return make().double()

    run = lanes.train(
        build, data, [rules.SGD(lr=0.1)] * 3, seeds=[0, 1, 1], steps=80, batch_size=None
    )
    for lane, seed in enumerate([0, 1, 1]):
        model = start(build, seed)
        expected = loop(model, optim.SGD(model.parameters(), lr=0.1), data).double()
        torch.testing.assert_close(run.losses[lane], expected, rtol=1e-7, atol=1e-7)
        for key, value in model.state_dict().items():
            torch.testing.assert_close(run.params(lane)[key], value, rtol=1e-9, atol=1e-9)
    if reason is None:
        assert run.strategy == "stacked", run.notes
    else:
        assert run.strategy == "serial"
        assert reason in run.notes[0]
        assert not any("\n" in note for note in run.notes)


CALLS = []


class Elsewhere(Model):
    """Counts its calls where nobody looks: the compiler would make another program for each."""

    def between(self, x: Tensor) -> Tensor:
        CALLS.append(1)
        return x.tanh()


@needs_compiler
def test_a_program_that_must_be_compiled_anew_at_every_step_runs_uncompiled(
    data: tuple[Tensor, Tensor],
):
    run = lanes.train(Elsewhere, data, ["sgd", "adam"], steps=20, compile=True)
    plain = lanes.train(Elsewhere, data, ["sgd", "adam"], steps=20, compile=False)
    torch.testing.assert_close(run.losses, plain.losses)
    assert sum("running uncompiled" in note for note in run.notes) == 1
