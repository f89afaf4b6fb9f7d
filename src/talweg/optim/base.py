"""What every optimizer of this room shares: a rule's step on a model's parameters."""

from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer

from talweg.core import Rule, Scalars, UserError
from talweg.optim.checks import check_dense, check_distinct, check_group, check_loaded
from talweg.optim.cohort import Cohort, State
from talweg.optim.course import Column, Course, Group
from talweg.optim.kernels import exact_dtype
from talweg.optim.layout import here
from talweg.optim.whole import Whole, add_up, states_of
from talweg.transforms import Ascent, WeightDecay

_GRAD = attrgetter("grad")

Job: TypeAlias = tuple[Rule, Cohort | Whole, Sequence[Tensor], Scalars]
"""A rule, parameters, their gradients, and the scalars of their step."""
Ready: TypeAlias = tuple[Cohort | Whole, list[State], set[int]]
"""Parameters, their states, and the places of those that begin."""


class RuleOptimizer(Optimizer):
    """A `torch.optim.Optimizer` whose step is a rule's.

    A subclass says which rule a parameter group follows and under which keys its state is kept.
    Parameters below float32 are stepped in float32 and keep their state in it.
    """

    names: ClassVar[Mapping[str, str]] = {}
    """The rule's name of a state → its key in ``state``; the same where it is missing."""
    spoken: ClassVar[Mapping[str, str]] = {}
    """The rule's name of a hyperparameter → its name here; the same where it is missing."""
    carried: Mapping[str, str] = {}
    """What the rule's scalars carry from step to step → its key in ``state``."""
    counts: ClassVar[bool] = True
    """Whether ``state`` holds the number of steps, as ``"step"``."""

    def rule_of(self, group: Group) -> Rule:
        """The rule that a parameter group follows, with the group's numbers; a subclass says."""
        raise NotImplementedError(f"{type(self).__name__} does not say which rule it follows")

    @property
    def _step_supports_amp_scaling(self) -> bool:
        """Whether the step unscales gradients itself: `torch.amp.GradScaler` is to do it."""
        return False

    @_step_supports_amp_scaling.setter
    def _step_supports_amp_scaling(self, value: bool) -> None:
        """Leaves it as it is: torch's own classes set it when ``fused`` is asked for."""

    def add_param_group(self, param_group: Group) -> None:
        """Adds a group of parameters, with hyperparameters of its own where it names them.

        Raises:
            ValueError: If a hyperparameter is out of range or a parameter cannot be optimised.
            TypeError: If the parameters are not an ordered collection of tensors.
        """
        check_distinct(param_group)
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        try:
            check_group(type(self), group, self.rule_of)
        except Exception:
            self.param_groups.pop()
            raise

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Makes one step.

        Args:
            closure: Evaluates the model anew and returns the loss.

        Returns:
            What the closure returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._update(self.rule_of)
        return loss

    def _update(self, rule_of: Callable[[Group], Rule]) -> None:
        if torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"):
            with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
                self._make_step(rule_of)
        else:
            self._make_step(rule_of)

    @torch._disable_dynamo  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
    @torch.no_grad()
    def _make_step(self, rule_of: Callable[[Group], Rule]) -> None:
        ready: list[tuple[Course, list[Tensor], Ready]] = []
        for place, (group, params, grads) in enumerate(self._chosen()):
            if params:
                course = self._course((place, rule_of.__name__), group, rule_of)
                ready.append((course, grads, self._arranged(course, params)))
        jobs = [job for group in ready for job in self._jobs(*group)]
        totals: dict[str, Tensor] = {}
        for rule, cohort, grads, scalars in jobs:
            if rule.gathers:
                assert isinstance(cohort, Whole)
                add_up(totals, cohort.sums(grads, scalars))
        for rule, cohort, grads, scalars in jobs:
            cohort.step(grads, {**scalars, **totals} if rule.gathers else scalars)
        for rule, cohort, _, _ in jobs:
            if rule.common:
                self._spread(rule, cohort.params[0])
                return

    def _spread(self, rule: Rule, param: Tensor) -> None:
        """Gives all parameters' states the numbers that they share, from one that was stepped."""
        for key in (self.names.get(name, name) for name in rule.common):
            for state in self.state.values():
                if key in state:
                    state[key].copy_(self.state[param][key])

    def _chosen(self) -> list[tuple[Group, list[Tensor], list[Tensor]]]:
        """The groups, the parameters of each that have a gradient, and the gradients."""
        chosen: list[tuple[Group, list[Tensor], list[Tensor]]] = []
        for group in self.param_groups:
            params, grads = group["params"], list(map(_GRAD, group["params"]))
            if type(None) in set(map(type, grads)):
                params = [param for param in params if param.grad is not None]
                grads = list(map(_GRAD, params))
            check_dense(grads)  # of all groups before any is stepped
            chosen.append((group, params, grads))
        return chosen

    def _course(self, key: Hashable, group: Group, rule_of: Callable[[Group], Rule]) -> Course:
        courses: dict[Hashable, Course] = self.__dict__.setdefault("_courses", {})
        course = courses.get(key)
        if course is None:
            course = courses[key] = Course()
        settings = {name: value for name, value in group.items() if name != "params"}
        if not course.is_of(settings, group["params"]):
            rule = at_numbers(rule_of(group))
            rule = Ascent(rule) if group.get("maximize") else rule
            course.follow(settings, group["params"], rule)
        return course

    def _arranged(self, course: Course, params: list[Tensor]) -> Ready:
        """Some parameters, ready to be stepped.

        Nothing is counted or stepped before this is done for all groups: it may complain.
        """
        cohort = course.cohort(params, self.names, course.rule)
        has_state = bool(self.counts or course.has_states or self.carried)
        states = list(map(self.state.__getitem__, params)) if has_state else [{}] * len(params)
        if cohort.holds(states):
            return cohort, states, set()
        fresh = self._complete(course.rule, params, states)
        cohort.arrange(states)
        return cohort, states, fresh

    def _jobs(self, course: Course, grads: list[Tensor], ready: Ready) -> Iterator[Job]:
        """What is to be stepped with which scalars: all at once, unless states differ in age."""
        rule, (cohort, states, fresh) = course.rule, ready
        params = cohort.params
        kept = {"step": torch.float32} if self.counts else {}
        kept |= dict.fromkeys(self.carried.values(), torch.float64)
        columns = course.columns(params, kept)
        carried = columns[1:] if self.counts else columns
        for (step, *values), places in self._turns(columns, states, fresh).items():
            memory = dict(zip(self.carried, values, strict=True))
            scalars, memory = rule.recall(rule.scalars(int(step)), memory)
            for name, column in zip(self.carried, carried, strict=True):
                column.write(memory[name], places)
            form = rule.at(int(step))
            if places is None and form is rule:
                yield rule, cohort, grads, scalars
                return
            these = range(len(params)) if places is None else places
            part = course.cohort([params[place] for place in these], self.names, form)
            own = [states[place] for place in these]
            if not part.holds(own):
                part.arrange(own)
            yield form, part, [grads[place] for place in these], scalars

    def _turns(
        self, columns: Sequence[Column], states: Sequence[State], fresh: set[int]
    ) -> dict[tuple[float, ...], list[int] | None]:
        """The number of this step and what is carried, which decide the scalars, of whom.

        A rule whose steps are not counted has a first step and others, which are the second.

        Args:
            columns: The number of steps, if it is counted, and what is carried; it is counted on.
            states: Of each parameter.
            fresh: The places of parameters that begin.

        Returns:
            ``(step, *carried)`` → places of parameters, or None for all.
        """
        rows = [column.read(states) for column in columns]
        if self.counts:
            columns[0].add(1)
            rows[0] = [step + 1 for step in rows[0]]
        elif not rows and not fresh:
            return {(2,): None}
        else:
            rows.insert(0, [1 if place in fresh else 2 for place in range(len(states))])
        keys = list(zip(*rows, strict=True))
        if len(set(keys)) == 1:
            return {keys[0]: None}
        found: dict[tuple[float, ...], list[int]] = {}
        for place, key in enumerate(keys):
            found.setdefault(key, []).append(place)
        return {**found}

    def _complete(self, rule: Rule, params: Sequence[Tensor], states: Sequence[State]) -> set[int]:
        """Gives parameters their first states; returns the places of those that had none."""
        fresh: set[int] = set()
        for place, (param, state) in enumerate(zip(params, states, strict=True)):
            keys = [self.names.get(name, name) for name in states_of(rule, param)]
            if any(state.get(key) is None for key in keys):
                fresh.add(place)
            if place in fresh or (self.counts and "step" not in state):
                self._begin(param, state, rule)
        return fresh

    def _begin(self, param: Tensor, state: State, rule: Rule) -> None:
        """Gives a parameter what is missing of its first state."""
        if self.counts:
            state.setdefault("step", torch.tensor(0.0))
        exact = param.detach().to(exact_dtype(param.dtype))
        taken = {here(exact).data_ptr()}
        for name, value in rule.init(exact).items():
            key = self.names.get(name, name)
            if state.get(key) is None:
                lies = here(value).data_ptr()
                value = value.contiguous() if 0 in here(value).stride() else value
                state[key] = value.clone() if lies in taken else value
                taken.add(lies)
        for key in (self.names.get(name, name) for name in rule.common):
            others = (held for held in self.state.values() if held is not state and key in held)
            if (other := next(others, None)) is not None:
                state[key] = other[key].to(state[key], copy=True)
        for name, value in rule.memory().items():
            state.setdefault(self.carried[name], torch.tensor(float(value), dtype=torch.float64))

    @contextmanager
    def evaluating(self) -> Generator[None]:
        """Within it the model holds what the rule wants evaluated and saved: an average, say.

        For most rules that is the parameters themselves.
        """
        before = self._placed(self.rule_of, "output")
        try:
            yield
        finally:
            put_back(before)

    @torch.no_grad()
    def _placed(
        self, rule_of: Callable[[Group], Rule], point: Literal["output", "probe"]
    ) -> list[tuple[Tensor, Tensor]]:
        """Moves parameters with a state to a point of the rule; returns where they were."""
        there: list[tuple[Tensor, Tensor]] = []
        for group in self.param_groups:
            rule = at_numbers(rule_of(group))
            for param in group["params"]:
                state = self.state.get(param)
                if not state:
                    continue
                t = state["step"].item() + (point == "probe") if self.counts else 2
                memory = {name: state[key].item() for name, key in self.carried.items()}
                scalars, _ = rule.recall(rule.scalars(t), memory)
                exact = here(param).to(exact_dtype(param.dtype))
                keys = {name: self.names.get(name, name) for name in states_of(rule, param)}
                first = {} if all(key in state for key in keys.values()) else rule.init(exact)
                own = {n: here(state[k]) if k in state else first[n] for n, k in keys.items()}
                there.append((param, getattr(rule, point)(exact, own, scalars)))
        before = [(param, param.clone()) for param, _ in there]  # two may share their memory
        for param, value in there:
            here(param).copy_(value)
        return before

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over the state of another optimizer, of torch's class of the same name too.

        Args:
            state_dict: What its ``state_dict()`` gave.

        Raises:
            ValueError: If it is of an optimizer with other hyperparameters; nothing is changed.
        """
        seen: dict[str, Any] = {}

        def look(_: Optimizer, given: Mapping[str, Any]) -> None:
            seen.update(given)

        def adopt(_: Optimizer) -> None:
            self._adopt(seen)

        before = self.state, self.param_groups
        handles = (
            self.register_load_state_dict_pre_hook(look),
            self.register_load_state_dict_post_hook(adopt, prepend=True),
        )
        try:
            super().load_state_dict(dict(state_dict))
        except BaseException as error:
            self.state, self.param_groups = before
            own = ("step", *self.carried.values(), *self.defaults)
            if isinstance(error, KeyError) and error.args[0] in own:
                message = f"the state dict has no {error}: is it another optimizer's?"
                raise UserError(message) from None
            raise
        finally:
            for handle in handles:
                handle.remove()
            self.__dict__.pop("_courses", None)

    def _adopt(self, given: Mapping[str, Any]) -> None:
        """Puts loaded states where and in what they are kept here, once torch has copied them."""
        rules = [check_group(type(self), group, self.rule_of) for group in self.param_groups]
        numbers = [number for group in given["param_groups"] for number in group["params"]]
        params = [param for group in self.param_groups for param in group["params"]]
        per_param = [r for g, r in zip(self.param_groups, rules, strict=True) for _ in g["params"]]
        scalars = {"step", *self.carried.values()}
        for number, param, rule in zip(numbers, params, per_param, strict=True):
            saved = given["state"].get(number, {})
            needed = [self.names.get(name, name) for name in states_of(rule, param)]
            check_loaded(saved, needed, {*self.names.values(), *scalars})
            for key, value in saved.items():
                if isinstance(value, Tensor):
                    self.state[param][key] = _as_kept(value, param, key in scalars)


def at_numbers(rule: Rule) -> Rule:
    """The rule with numbers ``[]`` for those that came as tensors of one element."""
    tensors = {n: v.reshape(()) for n, v in rule.hypers.items() if isinstance(v, Tensor) and v.ndim}
    return rule.moved(**tensors) if tensors else rule


@torch.no_grad()
def put_back(before: list[tuple[Tensor, Tensor]]) -> None:
    """Gives parameters the values that they had."""
    for param, value in before:
        param.copy_(value)


def _as_kept(value: Tensor, param: Tensor, is_scalar: bool) -> Tensor:
    """A loaded state where and in what it is kept here: torch casts it to the parameter's dtype."""
    if is_scalar:
        return value.detach().to("cpu", copy=True)
    if value.is_floating_point() and param.is_floating_point():
        return value.detach().to(param.device, exact_dtype(param.dtype))
    return value.detach().to(param.device)


def decayed(rule: Rule, group: Group, decoupled: bool = False) -> Rule:
    """The rule with the group's weight decay around it, unless that is 0."""
    decay = group["weight_decay"]
    if not isinstance(decay, Tensor) and decay == 0:
        return rule
    return WeightDecay(rule, decoupled=decoupled).moved(weight_decay=decay)
