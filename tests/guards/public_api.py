"""Describe the public names as text: one line per name, signature, field or member, without module paths."""

from __future__ import annotations

import ast
import enum
import functools
import importlib
import importlib.util
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import attrs

MODULES = ("rh_async", "rh_async.errors", "rh_async.events", "rh_async.emulator", "rh_async.batch", "rh_async.journal")
"""Where public names are imported from; one that does not exist yet is passed over."""

_PROTOCOL = frozenset(
    "__aenter__ __aexit__ __aiter__ __anext__ __await__ __bool__ __call__ __contains__ __enter__ __exit__ __getitem__"
    " __iter__ __len__ __next__ __or__".split()
)
_DOTTED = re.compile(r"\b(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])")
_NAME = re.compile(r"[A-Za-z_]\w*")
_LINE = 100
_UNIONS = frozenset({typing.Union, types.UnionType})


def describe() -> str:
    """Describe the names of every public module, and the type aliases in their annotations."""
    modules = [importlib.import_module(name) for name in MODULES if importlib.util.find_spec(name) is not None]
    homes: dict[int, str] = {}
    blocks = [list(_module(module, homes)) for module in modules]
    blocks.append(sorted({line for module in modules for line in _aliases(module)}))
    return "\n\n".join("\n".join(lines) for lines in blocks)


def _module(module: types.ModuleType, homes: dict[int, str]) -> Iterator[str]:
    for name in _names(module):
        path, value = f"{module.__name__}.{name}", getattr(module, name)
        home = homes.setdefault(id(value), path) if inspect.isclass(value) else path
        if home != path:
            yield f"{path} is {home}"
        elif inspect.isclass(value):
            yield from _class(path, value)
        elif inspect.isfunction(value):
            yield path + _signature(value)
        else:
            yield f"{path} = {_value(value)}"


def _names(module: types.ModuleType) -> list[str]:
    here = module.__name__
    found = (name for name, value in vars(module).items() if getattr(value, "__module__", "") == here)
    stated = getattr(module, "__all__", None) or [name for name in found if name[0] != "_"]
    return sorted(stated, key=lambda name: (name.lower(), name))


def _class(path: str, kind: type) -> Iterator[str]:
    public = [base for base in kind.__bases__ if base is not object and not is_private(base)]
    bases = ", ".join(_type(base) for base in getattr(kind, "__orig_bases__", public))
    yield f"class {path}({bases})" if bases else f"class {path}"
    members, fields = _members(kind), dict(_fields(kind))
    if issubclass(kind, enum.Enum):
        yield from (f"{path}.{member.name} = {member.value!r}" for member in kind)
    elif "__init__" in members:
        yield path + _signature(kind, fields=fields)
    yield from (f"{path}.{name}: {words}" for name, words in fields.items())
    for name, member in sorted(members.items()):
        if name not in fields and (name[0] != "_" or name in _PROTOCOL):
            yield from _member(f"{path}.{name}", member)


def _members(kind: type) -> dict[str, Any]:
    """Collect what a class and its private bases define; members of a public base are listed with that base."""
    found: dict[str, Any] = {}
    for base in kind.__mro__:
        if base is kind or is_private(base):
            found = {**vars(base), **found}
    return found


def is_private(base: type) -> bool:
    """Tell whether a class is a part of public classes and has no public name of its own."""
    return base.__module__.startswith("rh_async") and base.__name__[0] == "_"


def _fields(kind: type) -> Iterator[tuple[str, str]]:
    if attrs.has(kind):
        for field in attrs.fields(kind):
            if field.name[0] != "_":
                yield field.name, _type(field.type) + _default(field.default)
        return
    for name, annotation in _members(kind).get("__annotations__", {}).items():
        if name[0] != "_":
            yield name, _type(annotation) + _default(vars(kind).get(name, attrs.NOTHING))


def _member(path: str, member: object) -> Iterator[str]:
    if isinstance(member, classmethod | staticmethod):
        yield f"{type(member).__name__} {path}{_signature(member.__func__)}"
    elif isinstance(member, property | functools.cached_property):
        yield f"property {path}: {_type(inspect.signature(_getter(member)).return_annotation)}"
    elif inspect.isfunction(member):
        yield ("async " if inspect.iscoroutinefunction(member) else "") + path + _signature(member)
    elif not inspect.isclass(member) and not inspect.ismemberdescriptor(member):
        yield f"{path} = {_value(member)}"


def _getter(member: property | functools.cached_property[Any]) -> Callable[..., Any]:
    getter = member.fget if isinstance(member, property) else member.func
    assert getter is not None
    return getter


def _signature(function: Callable[..., Any], *, fields: Mapping[str, str] = MappingProxyType({})) -> str:
    """Write parameters and return type, on one line if that is short enough.

    :param fields: a parameter that is like the field of its name is only named.
    """
    signature = inspect.signature(function)
    words = list(_parameters(signature, fields))
    returned = signature.return_annotation
    end = "" if returned in {signature.empty, None, "None"} else f" -> {_type(returned)}"
    line = f"({', '.join(words)}){end}"
    return line if len(line) < _LINE else "".join(["(", *(f"\n    {word}," for word in words), f"\n){end}"])


def _parameters(signature: inspect.Signature, fields: Mapping[str, str]) -> Iterator[str]:
    keyword_only = False
    for parameter in signature.parameters.values():
        if parameter.name in {"self", "cls"}:
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            yield "*"
        keyword_only = keyword_only or parameter.kind in {parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL}
        known = f"{parameter.name}: {fields.get(parameter.name, '')}".removesuffix(" = ...")
        yield parameter.name if _parameter(parameter) == known else _parameter(parameter)


def _parameter(parameter: inspect.Parameter) -> str:
    stars = "*" * (1 + (parameter.kind is parameter.VAR_KEYWORD)) if parameter.kind in _STARRED else ""
    annotation = "" if parameter.annotation is parameter.empty else f": {_type(parameter.annotation)}"
    default = attrs.NOTHING if parameter.default is parameter.empty else parameter.default
    return f"{stars}{parameter.name}{annotation}{_default(default)}"


_STARRED = frozenset({inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD})


def _default(default: object) -> str:
    if default is attrs.NOTHING or inspect.ismemberdescriptor(default):
        return ""
    return " = ..." if isinstance(default, type(attrs.Factory(list))) else f" = {_value(default)}"


def _value(value: object) -> str:
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, str) and " " in value:
        return "'...'"  # prose may be reworded
    if isinstance(value, str | bytes | int | float | tuple | frozenset | None):
        return repr(value)
    if isinstance(value, typing.NewType):
        return f"NewType({value.__name__!r}, {_type(value.__supertype__)})"
    if typing.get_origin(value) is not None or inspect.isfunction(value) or inspect.isclass(value):
        return _type(value)
    return f"<{type(value).__name__}>"


def _type(annotation: object) -> str:
    """Write an annotation with bare names."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, list):  # the parameters of a Callable
        return f"[{', '.join(map(_type, annotation))}]"
    if origin is typing.Literal:
        words = list(map(repr, arguments))
        wide = sum(map(len, words)) > _LINE
        return "Literal[" + ("".join(f"\n    {word}," for word in words) + "\n" if wide else ", ".join(words)) + "]"
    if origin in _UNIONS:
        return " | ".join(map(_type, arguments))
    if origin is not None and origin is not annotation:
        return f"{_type(origin)}[{', '.join(map(_type, arguments))}]"
    return _DOTTED.sub("", _named(annotation))


def _named(annotation: object) -> str:
    if annotation is None or annotation is type(None):
        return "None"
    if isinstance(annotation, str) or annotation is ...:
        return "..." if annotation is ... else str(annotation)
    names = (getattr(annotation, name, None) for name in ("__name__", "__forward_arg__"))
    return str(next(filter(None, names), repr(annotation)))


@functools.cache
def _imported_for_types(module: types.ModuleType) -> dict[str, object]:
    """Import what a module imports from this package under ``if TYPE_CHECKING`` alone."""
    guarded = (node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.If))
    bodies = [node.body for node in guarded if ast.unparse(node.test).endswith("TYPE_CHECKING")]
    found: dict[str, object] = {}
    for line in (line for body in bodies for line in body if isinstance(line, ast.ImportFrom)):
        source = importlib.import_module("." * line.level + (line.module or ""), module.__package__)
        found |= {name.asname or name.name: getattr(source, name.name) for name in line.names}
    return found


def _aliases(module: types.ModuleType) -> Iterator[str]:
    """List the type aliases in annotations that stand for literals or unions."""
    for public in (getattr(module, name) for name in _names(module)):
        globals_: dict[str, object] = {}
        for part in (public, *(base for base in getattr(public, "__mro__", ()) if is_private(base))):
            home = sys.modules.get(getattr(part, "__module__", ""), module)
            globals_ |= vars(home) | _imported_for_types(home)
        text = "\n".join(_class("", public)) if inspect.isclass(public) else ""
        text += _signature(public) if inspect.isfunction(public) else ""
        for name in set(_NAME.findall(text)):
            if typing.get_origin(globals_.get(name)) in {typing.Literal, *_UNIONS}:
                yield f"type {name} = {_type(globals_[name])}"
