"""The Rule contract, registries, hyperparameters and errors: what every other room stands on."""

from talweg.core.compiling import Compiled, missing_compiler
from talweg.core.contract import check_promises
from talweg.core.draws import redrawn, to_be_drawn
from talweg.core.errors import UserError, choose, is_finite, nearest, whole_number
from talweg.core.fields import check_flag, check_number, hyper, option
from talweg.core.files import (
    as_path,
    check_place,
    page_around,
    write_atomically,
    write_file,
    write_page,
    writing,
)
from talweg.core.importing import from_file
from talweg.core.memory import in_bytes, is_out_of_memory, memory_size, usable_memory
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
    "as_path",
    "check_flag",
    "check_number",
    "check_place",
    "check_promises",
    "choose",
    "counted",
    "first_line",
    "from_file",
    "hyper",
    "in_bytes",
    "is_finite",
    "is_out_of_memory",
    "largest",
    "listing",
    "memory_size",
    "missing_compiler",
    "nearest",
    "option",
    "page_around",
    "parse_call",
    "redrawn",
    "shares",
    "split_calls",
    "stack",
    "switch",
    "to_be_drawn",
    "usable_memory",
    "whole_number",
    "write_atomically",
    "write_file",
    "write_page",
    "writing",
]
