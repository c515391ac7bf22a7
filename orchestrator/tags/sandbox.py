"""Jinja2 with nothing in it but our filters, tests and values; loading this module loads Jinja2.

A template is parsed by Jinja2, held against a list of allowed expressions, and only then compiled. At run time the
environment lets nothing be reached but the fields of a `Record`, and no number or text grow.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Final, TypeAlias

from jinja2 import StrictUndefined, Template, Undefined, nodes
from jinja2.exceptions import TemplateError as JinjaError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from orchestrator.tags.errors import Absent, TemplateError
from orchestrator.tags.filters import FILTERS, MAX_DIGITS, TESTS, print_value
from orchestrator.tags.record import Record, unknown
from orchestrator.tags.values import NAMES

MAX_NESTING: Final = 32
MAX_BASE: Final = 10**6
MAX_EXPONENT: Final = 60

Number: TypeAlias = int | float

_ALLOWED: Final = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem,
    nodes.Filter, nodes.Test, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.CondExpr,
    nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow, nodes.Neg, nodes.Pos,
    nodes.Concat, nodes.List, nodes.Tuple, nodes.Keyword,
)  # fmt: skip
_ARITHMETIC: Final[Mapping[str, Callable[[Number, Number], Number]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
}
_DATE_FIELDS: Final = frozenset({"year", "month", "day", "hour", "minute", "second"})
_INSTEAD_OF: Final = {
    "startswith": 'is startingwith("…")',
    "endswith": 'is endingwith("…")',
    "strip": "| trim",
    "strftime": '| date("%Y%m%d")',
    "isoformat": '| date("%Y-%m-%dT%H:%M:%SZ")',
    "format": "{{ }} for each value",
    "get": '| default("…")',
}


class Absence(StrictUndefined):
    """An absent value within a template: every use raises its reason, but for `default` and `is defined`."""

    def __init__(self, absent: Absent) -> None:
        super().__init__(hint=absent.reason)
        self._absent = absent

    @property
    def _undefined_message(self) -> str:
        raise self._absent.error()


def default(value: object, replacement: object) -> object:
    """Another value where one is absent; an empty text is not absent."""
    return replacement if isinstance(value, Undefined) else value


def is_defined(value: object) -> bool:
    """Whether a value is there."""
    return not isinstance(value, Undefined)


_FILTERS: Final[Mapping[str, object]] = {**FILTERS, "default": default}
_TESTS: Final[Mapping[str, object]] = {**TESTS, "defined": is_defined}


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of all templates."""

    intercepted_binops = frozenset(_ARITHMETIC)

    def __init__(self) -> None:
        super().__init__(
            undefined=StrictUndefined, finalize=print_value, optimized=False, keep_trailing_newline=True, cache_size=0
        )
        self.globals.clear()
        self.filters.clear()
        self.filters.update(_FILTERS)
        self.tests.clear()
        self.tests.update(_TESTS)  # type: ignore[arg-type]  # Jinja2's own are all plain functions

    def getattr(self, obj: object, attribute: str) -> object:
        """A field of a record, and nothing else of anything."""
        return _field(obj, attribute)

    def getitem(self, obj: object, argument: object) -> object:
        """`vars["name"]`, or an item of a list by its number."""
        if isinstance(obj, list) and isinstance(argument, int):
            if not -len(obj) <= argument < len(obj):
                message = f"there is no item {argument} in a list of {len(obj)}"
                raise TemplateError(message, hints=("items are numbered from 0; `| last` takes the last one",))
            item: object = obj[argument]
            return item
        return _field(obj, print_value(argument))

    def call_binop(self, context: Context, operator: str, left: object, right: object) -> object:  # noqa: ARG002  # the signature is Jinja2's
        """Arithmetic, bounded: numbers only, but for `+` of two texts."""
        for operand in (left, right):
            if isinstance(operand, Undefined):
                return print_value(operand)
        if operator == "+" and isinstance(left, str | Record) and isinstance(right, str | Record):
            return print_value(print_value(left) + print_value(right))
        return _calculate(operator, _number(left, operator), _number(right, operator))


def compile_template(sandbox: Sandbox, text: str) -> tuple[Template, tuple[str, ...]]:
    """Check and compile a template; also the names that it uses.

    Raises:
        TemplateError: it is no template, or has something in it that is not allowed.
    """
    try:
        tree = sandbox.parse(text)
        names = _check(tree)
        return sandbox.from_string(_JoinConcat().visit(tree)), names
    except (JinjaError, RecursionError, SyntaxError, ValueError, ArithmeticError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error).rstrip(".")
        message = f"the template cannot be parsed: {reason[:1].lower()}{reason[1:]}"
        raise TemplateError(
            message, hints=('templates are like `{{ version }}`; a literal text is `{ raw = "…" }`',)
        ) from error


def evaluate(template: Template, values: Mapping[str, object]) -> str:
    """Render a compiled template.

    Raises:
        TemplateError: a value is absent, or something is done with one that cannot be done.
    """
    context = template.new_context({name: _wrapped(value) for name, value in values.items()})
    try:
        return print_value("".join(template.root_render_func(context)))
    except (JinjaError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError) as error:
        message = f"the template cannot be evaluated: {str(error).rstrip('.')}"
        raise TemplateError(message, hints=("check the kinds of the values: texts, numbers, lists, times",)) from error


class _JoinConcat(NodeTransformer):
    """`a ~ b` becomes a `join`, so that what it prints and how long it gets are checked as everywhere."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:  # noqa: N802  # the name is Jinja2's
        items = [self.visit(item) for item in node.nodes]
        listed = nodes.List(items, lineno=node.lineno)
        return nodes.Filter(listed, "join", [], [], None, None, lineno=node.lineno)


def _check(tree: nodes.Template) -> tuple[str, ...]:
    """Hold every node against the list; gives the names that are used, in order."""
    names: dict[str, None] = {}
    waiting: list[tuple[nodes.Node, int]] = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth > MAX_NESTING:
            message = f"the template is nested more than {MAX_NESTING} deep"
            raise TemplateError(message, hints=("take it apart",))
        if not isinstance(node, _ALLOWED):
            raise _refusal(node)
        if isinstance(node, nodes.Name):
            _check_known("name", node.name, dict.fromkeys(NAMES))
            names[node.name] = None
        elif isinstance(node, nodes.Filter | nodes.Test):
            _check_function(node)
        elif isinstance(node, nodes.Const):
            _check_constant(node)
        elif isinstance(node, nodes.CondExpr) and node.expr2 is None:
            message = "an `if` in a template needs an `else`"
            raise TemplateError(message, hints=("write `{{ a if condition else '' }}`",))
        waiting += ((child, depth + 1) for child in _children(node))
    return tuple(sorted(names))


def _children(node: nodes.Node) -> Iterator[nodes.Node]:
    return node.iter_child_nodes()


def _check_function(node: nodes.Filter | nodes.Test) -> None:
    if isinstance(node, nodes.Filter):
        _check_known("filter", node.name, _FILTERS)
    else:
        _check_known("test", node.name, _TESTS)
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        message = "`*` and `**` before an argument are not allowed in templates"
        raise TemplateError(message, hints=("write every argument out",))


def _check_constant(node: nodes.Const) -> None:
    """A number within bounds; Jinja2 would write infinity into the code as a name."""
    value: object = node.value
    if isinstance(value, int | float) and not abs(value) < 10**MAX_DIGITS:
        message = f"a number has more than {MAX_DIGITS} digits"
        raise TemplateError(message, hints=("numbers in templates are for versions and counters",))


def _check_known(kind: str, name: str, known: Mapping[str, object]) -> None:
    if name not in known:
        absent = unknown(name, name, known)
        message = f"there is no {'' if kind == 'name' else kind + ' '}`{name[:100]}`"
        raise TemplateError(message, hints=absent.hints)


def _refusal(node: nodes.Node) -> TemplateError:
    """What to do instead of an expression that is not allowed."""
    if isinstance(node, nodes.Call):
        called = node.node
        name = (
            called.attr if isinstance(called, nodes.Getattr) else called.name if isinstance(called, nodes.Name) else ""
        )
        filtered = f"use `| {name}`" if name in _FILTERS else f"there are filters: {', '.join(_FILTERS)}"
        hint = f"use `{_INSTEAD_OF[name]}`" if name in _INSTEAD_OF else filtered
        shown = f"`{name[:40]}(…)`" if name else "a call"
        return TemplateError(f"{shown}: functions and methods cannot be called in templates", hints=(hint,))
    if isinstance(node, nodes.Slice):
        message = "slices are not allowed in templates"
        return TemplateError(message, hints=("use `| short(12)` or `| truncate(12)`",))
    kind = type(node).__name__.lower()
    message = f"`{kind}` is not allowed in templates"
    return TemplateError(message, hints=("templates are expressions in `{{ }}`: values, filters, `if … else`",))


def _wrapped(value: object) -> object:
    return Absence(value) if isinstance(value, Absent) else value


def _field(obj: object, name: str) -> object:
    if isinstance(obj, Undefined):
        return obj
    if isinstance(obj, Record):
        return _wrapped(obj.field(name))
    if isinstance(obj, datetime) and name in _DATE_FIELDS:
        part: object = getattr(obj, name)
        return part
    shown = print_value(obj)
    message = f"there is no `{name[:100]}` of `{shown[:40]}`"
    raise TemplateError(message, hints=(f"use a filter: {', '.join(_FILTERS)}",))


def _number(value: object, symbol: str) -> Number:
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = f"`{symbol}` takes numbers, not `{print_value(value)[:40]}`"
        hint = "put texts together with `~`, or make a number with `| int`"
        raise TemplateError(message, hints=(hint,))
    return value


def _calculate(symbol: str, left: Number, right: Number) -> Number:
    if symbol == "**" and (abs(left) > MAX_BASE or not 0 <= right <= MAX_EXPONENT):
        message = f"`**` takes numbers up to {MAX_BASE} and exponents from 0 to {MAX_EXPONENT}"
        raise TemplateError(message, hints=("numbers in templates are for versions and counters",))
    result = _ARITHMETIC[symbol](left, right)
    if not math.isfinite(result) or abs(result) >= 10**MAX_DIGITS:
        message = f"the result of `{symbol}` has more than {MAX_DIGITS} digits"
        raise TemplateError(message, hints=("numbers in templates are for versions and counters",))
    return result
