"""The Rule contract, registries, hyperparameters and errors: what every other room stands on."""

from talweg.core.compiling import Compiled, missing_compiler
from talweg.core.contract import check_promises
from talweg.core.errors import UserError, choose, nearest, whole_number
from talweg.core.fields import hyper, option
from talweg.core.registry import Registry
from talweg.core.rule import Rule, Scalar, Scalars, State, largest, shares, stack, switch
from talweg.core.spec import parse_call, split_calls
from talweg.core.wording import a_number, counted, first_line, listing

__all__ = [
    "Compiled",
    "Registry",
    "Rule",
    "Scalar",
    "Scalars",
    "State",
    "UserError",
    "a_number",
    "check_promises",
    "choose",
    "counted",
    "first_line",
    "hyper",
    "largest",
    "listing",
    "missing_compiler",
    "nearest",
    "option",
    "parse_call",
    "shares",
    "split_calls",
    "stack",
    "switch",
    "whole_number",
]
