"""What a mutant changes, read from the file in which mutmut keeps all of them, and whether it is words only.

Words are also SQL in another case, but for what is quoted in it, and the type that a `cast` names.
"""

import ast
import difflib
import re
from dataclasses import dataclass
from typing import Final, TypeAlias

ERRORS: Final = frozenset({"RemoteError", "Refused", "StoreUnusable"})
"""Errors with a stable code first; what follows is English for a log."""
PLAIN_ERRORS: Final = frozenset({"ValueError", "TypeError", "RuntimeError", "AssertionError", "LookupError", "_wrong"})
NAMED: Final = {"cast": 0, "Fields": 1, "as_bytes": 1, "as_text": 1, "as_uint": 1, "elements": 2, "_one_of": 2}
"""Readers of fields, and the place of the argument that only names the object in errors."""
CONTEXT: Final = 40
"""Characters shown on each side of a difference."""
Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
_SQL: Final = re.compile(
    r"\s*(select|insert|update|delete|pragma|begin|commit|rollback|savepoint|release)\b.*"
    r"|[\w\s.]+(=|<=?|>=?|between) -?(\?|\d).*|\w+( desc)(, \w+ desc)*|\w+ = \w+"
    r"|\w+ (not )?in \(.*\)|\w+ is (not )?null",
    re.IGNORECASE | re.DOTALL,
)
"""Whole statements, conditions, orders and settings."""
_UNQUOTED: Final = re.compile(r"('[^']*')|[^']+")
_MUTANT: Final = re.compile(r"(x.*)__mutmut_(orig|\d+)$")


@dataclass(frozen=True)
class Change:
    """One mutant: the function, and the lines that differ."""

    function: str
    old: str
    new: str
    is_wording: bool

    def key(self, module: str) -> tuple[str, str, str, str]:
        """How survivors.toml names it."""
        return module, self.function, self.old, self.new


class _Wordless(ast.NodeTransformer):
    """A function without what only words an error, and under its original's name."""

    def visit_FunctionDef(self, node: Function) -> ast.AST:
        found = _MUTANT.match(node.name)
        node.name = found.group(1) if found else node.name
        node.decorator_list = []
        self.generic_visit(node)
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self.visit_FunctionDef(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, str) and _SQL.fullmatch(node.value):
            return ast.Constant(_UNQUOTED.sub(lambda part: part.group(1) or part.group().casefold(), node.value))
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        self.generic_visit(node)
        if node.arg == "order" and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            node.value = ast.Constant(node.value.value.casefold())
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name in ERRORS and len(node.args) >= 1:
            # One argument left of two is the code or the detail; a code is one upper-case word.
            first = node.args[0]
            node.args = [first]
            if not (isinstance(first, ast.Constant) and isinstance(first.value, str) and " " not in first.value):
                node.args = [] if isinstance(first, ast.Constant | ast.JoinedStr) else [first]
        elif name in PLAIN_ERRORS:
            node.args = []
        elif name in NAMED and len(node.args) > NAMED[name]:
            node.args[NAMED[name]] = ast.Constant("name")
        return node


def _text(node: Function, name: str) -> list[str]:
    node.name = name.rpartition(".")[2]
    return ast.unparse(node).splitlines()


def _meaning(node: Function) -> str:
    """A function without its words."""
    return ast.dump(_Wordless().visit(ast.parse(ast.unparse(node)).body[0]))


def _same(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginning."""
    return next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]),
                min(len(one), len(other)))  # fmt: skip


def _narrow(old: str, new: str) -> tuple[str, str]:
    """The two texts from shortly before their first difference to shortly after their last."""
    start = _same(old, new)
    end = _same(old[start:][::-1], new[start:][::-1])
    first = max(0, start - CONTEXT)
    return tuple(text[first : max(start, len(text) - end) + CONTEXT] for text in (old, new))  # type: ignore[return-value]


def changes_of(module: str, source: str) -> dict[str, Change]:
    """The mutants in one file of mutmut's, by their names."""
    families: dict[str, dict[str, Function]] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function) and (found := _MUTANT.match(node.name)):
            families.setdefault(found.group(1), {})[found.group(2)] = node
    dotted = module.removesuffix(".py").replace("/", ".")
    changes = {}
    for family, members in families.items():
        name = family.removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
        original = members.pop("orig")
        text, meaning = _text(original, name), _meaning(original)
        for number, node in members.items():
            lines = list(difflib.unified_diff(text, _text(node, name), lineterm="", n=0))[2:]
            old = " / ".join(line[1:].strip() for line in lines if line.startswith("-"))
            new = " / ".join(line[1:].strip() for line in lines if line.startswith("+"))
            is_wording = _meaning(node) == meaning
            old, new = _narrow(old, new)
            changes[f"{dotted}.{family}__mutmut_{number}"] = Change(name, old, new, is_wording)
    return changes
