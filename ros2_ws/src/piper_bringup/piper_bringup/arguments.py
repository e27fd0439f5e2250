"""Options as launch arguments: names, descriptions, choices and texts, all taken from the dataclass."""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import fields
from itertools import pairwise
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from piper_bringup.options import OptionError, Options

_BOOLS = {"true": True, "false": False}


def descriptions() -> dict[str, str]:
    """Option name -> its help, as written below it."""
    body = ast.parse(textwrap.dedent(inspect.getsource(Options))).body[0].body
    return {
        item.target.id: after.value.value
        for item, after in pairwise(body)
        if isinstance(item, ast.AnnAssign) and isinstance(after, ast.Expr)
    }


def defaults() -> dict[str, str]:
    """Option name -> its default as text; unset is empty."""
    return {f.name: "" if f.default is None else str(f.default) for f in fields(Options)} | {
        f.name: str(f.default).lower() for f in fields(Options) if isinstance(f.default, bool)
    }


def choices(name: str) -> tuple[str, ...]:
    """Texts that option `name` may have; empty: anything of its type."""
    kind, optional = _kind(name)
    if get_origin(kind) is Literal:
        valid = get_args(kind)
    elif kind is bool:
        valid = tuple(_BOOLS)
    else:
        return ()
    return ("", *valid) if optional else valid


def parse(texts: dict[str, str]) -> Options:
    """Options from argument texts. Raises OptionError for unknown names and texts that do not read."""
    valid = [f.name for f in fields(Options)]
    unknown = sorted(set(texts) - set(valid))
    if unknown:
        raise OptionError(f"unknown argument {', '.join(unknown)}; valid: {', '.join(valid)}")
    return Options(**{name: _value(name, text) for name, text in texts.items()})


def _kind(name: str) -> tuple[Any, bool]:
    """Type of an option without its None, and whether it may be unset."""
    kind = get_type_hints(Options)[name]
    members = get_args(kind)
    if NoneType not in members:
        return kind, False
    return next(member for member in members if member is not NoneType), True


def _value(name: str, text: str) -> object:
    kind, optional = _kind(name)
    if optional and text == "":
        return None
    valid = choices(name)
    if valid and text not in valid:
        raise OptionError(f"{name} is {text!r}; valid: {', '.join(filter(None, valid))}")
    if kind is bool:
        return _BOOLS[text]
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            raise OptionError(f"{name} is {text!r}; expected a number") from None
    return text
