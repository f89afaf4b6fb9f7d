"""What a model is made of, looked up anew only where that has changed."""

from operator import is_

from torch import nn

from talweg.diagnose.wrappers import is_compiled, own_call


class Parts:
    """A model's modules and parameters.

    Args:
        model: The model.

    Attributes:
        modules: All modules, the model first, each once.
        is_compiled: Whether any of them is compiled.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._known: list[object] = []
        self.modules: list[nn.Module] = []
        self.is_compiled = False

    def have_changed(self) -> bool:
        """Whether they are others than at the last look, or others of them are trained.

        >>> model = nn.Sequential(nn.Linear(2, 1))
        >>> parts = Parts(model)
        >>> parts.have_changed(), parts.have_changed()
        (True, False)
        >>> model[0].bias.requires_grad_(False) is model[0].bias
        True
        >>> parts.have_changed()
        True
        """
        modules = _modules(self._model)
        known: list[object] = [*modules]
        for module in modules:
            known.append(own_call(module))
            for value in module._parameters.values():  # pyright: ignore[reportPrivateUsage]
                # A lazy parameter gets another class when it gets its shape.
                known += (value, type(value), value is not None and value.requires_grad)  # pyright: ignore[reportUnnecessaryComparison]
        if len(known) == len(self._known) and all(map(is_, known, self._known)):
            return False
        self.modules, self._known = modules, known
        self.is_compiled = any(map(is_compiled, modules))
        return True


def _modules(model: nn.Module) -> list[nn.Module]:
    """As ``model.modules()`` in another order, in a third of the time."""
    found, seen = [model], {id(model)}
    for module in found:
        for child in module._modules.values():  # pyright: ignore[reportPrivateUsage]
            if child is not None and id(child) not in seen:
                seen.add(id(child))
                found.append(child)
    return found
