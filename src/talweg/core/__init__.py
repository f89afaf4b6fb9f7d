"""The Rule contract, registries, hyperparameters and errors: what every other room stands on."""

from talweg.core.errors import Interrupted, UserError, choose, nearest, whole_number
from talweg.core.fields import hyper, option
from talweg.core.registry import Registry
from talweg.core.rule import Rule, Scalar, Scalars, State, stack
from talweg.core.spec import parse_call

__all__ = [
    "Interrupted",
    "Registry",
    "Rule",
    "Scalar",
    "Scalars",
    "State",
    "UserError",
    "choose",
    "hyper",
    "nearest",
    "option",
    "parse_call",
    "stack",
    "whole_number",
]
