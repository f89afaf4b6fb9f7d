"""What a rule is, what each setting does, and what other frameworks call it."""

from talweg.explain.conversion import convert
from talweg.explain.explanation import Explanation, explain

__all__ = ["Explanation", "convert", "explain"]
