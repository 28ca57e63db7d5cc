"""Style that a machine can hold: sizes, rooms, banned calls, files that must agree."""

import ast
import re
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import config
import keys
import protocol
import relay

TOP = Path(__file__).resolve().parent.parent
ROOMS = ("protocol", "keys", "config", "relay")
FILE_LINES = 400
FUNCTION_LINES = 70

# What gives a clock, randomness or the world outside: never in protocol/, whichever way it is imported.
IMPURE_CALLS = frozenset(
    {
        *("time.time", "time.time_ns", "time.monotonic", "time.sleep", "datetime.now", "datetime.utcnow"),
        *("datetime.today", "date.today", "os.urandom", "os.getpid", "uuid.uuid1", "uuid.uuid4", "uuid.getnode"),
        *("uuid1", "uuid4", "open", "input", "print", "eval", "exec", "__import__"),
    }
)
IMPURE_MODULES = frozenset({"random", "secrets", "socket", "asyncio", "threading", "subprocess", "time", "os"})
UNFINISHED = re.compile(r"\bTODO\b|\bFIXME\b|\bXXX\b|\bfor now\b|NotImplementedError")


def tracked() -> list[Path]:
    """The files of the project: those git knows, or, in an unpacked archive, those of the known folders."""
    listed = subprocess.run(
        ["git", "-C", str(TOP), "ls-files", "-z"], capture_output=True, text=True, check=False
    ).stdout.split("\0")
    names = [name for name in listed if name]
    if names:
        return [path for name in names if (path := TOP / name).is_file()]
    folders = (*ROOMS, "tests", "benchmarks", "requirements", "scripts", "systemd")
    return [path for folder in folders for path in (TOP / folder).rglob("*") if path.is_file()]


FILES = tracked()
SOURCES = [path for path in FILES if path.suffix == ".py"]
ROOM_SOURCES = [path for path in SOURCES if path.relative_to(TOP).parts[0] in ROOMS]


def name_of(path: Path) -> str:
    """The path as a reader of the project knows it."""
    return path.relative_to(TOP).as_posix()


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a module, nested ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def dotted(node: ast.expr) -> str:
    """`a.b.c` as text, or an empty string for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (head := dotted(node.value)):
        return f"{head}.{node.attr}"
    return ""


def test_no_module_needs_itself_to_be_imported() -> None:
    """Else it depends on who is first whether the program starts."""
    modules = {
        name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in ROOM_SOURCES
    }
    needs: dict[str, set[str]] = {}
    for module, path in modules.items():
        wanted = needs[module] = set[str]()
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.ImportFrom) or node.module is None:
                continue
            for name in (f"{node.module}.{one.name}" for one in node.names):
                parts = (name if name in modules else node.module).split(".")
                # A package is there before what is in it, but for those that are in it themselves.
                above = (".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
                wanted |= {one for one in above if one in modules and not f"{module}.".startswith(f"{one}.")}
    TopologicalSorter(needs).prepare()


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= FILE_LINES, "split it by noun"
    long = [
        f"{node.name} has {size} lines"
        for node in functions(ast.parse(text))
        if (size := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES
    ]
    assert long == []


@pytest.mark.parametrize("path", ROOM_SOURCES, ids=name_of)
def test_nothing_is_left_unfinished_or_swallowed(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert UNFINISHED.findall(text) == []
    assert path.stem not in {"utils", "util", "helpers", "common", "misc"}, "name the file after its noun"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler) and len(node.body) == 1 and isinstance(node.body[0], ast.Pass):
            caught = ast.unparse(node.type) if node.type else "everything"
            assert caught not in {"Exception", "BaseException", "everything"}, f"line {node.lineno} swallows {caught}"


@pytest.mark.parametrize(
    "path", [path for path in ROOM_SOURCES if path.relative_to(TOP).parts[0] == "protocol"], ids=name_of
)
def test_the_protocol_is_pure(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            assert dotted(node.func) not in IMPURE_CALLS, f"line {node.lineno}"
        elif isinstance(node, ast.Import):
            assert not {alias.name.split(".")[0] for alias in node.names} & IMPURE_MODULES, f"line {node.lineno}"
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in IMPURE_MODULES, f"line {node.lineno}"
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await), f"line {node.lineno}"


def test_the_rooms_are_ours() -> None:
    """The import names are generic; an environment that shadows one of them must be noticed."""
    for room in (protocol, keys, config, relay):
        assert room.__file__ is not None
        assert Path(room.__file__).resolve().parent == TOP / room.__name__


def test_no_file_names_a_path_of_one_machine() -> None:
    # A clone directly under the folder for temporary files has a parent that many texts rightly name.
    marks = [f"{TOP}/"] if TOP.parent == Path(tempfile.gettempdir()) else [f"{TOP.parent}/"]
    marks += ["/" + "root/", "/" + "home/"]
    found = [
        f"{name_of(path)}: {mark}"
        for path in FILES
        if path.stat().st_size < 2_000_000
        for mark in marks
        if mark in path.read_text(encoding="utf-8", errors="ignore")
    ]
    assert found == []


@pytest.mark.parametrize("name", ["runtime", "embedded", "gm", "hsm", "dev", "fuzz", "mutants"])
def test_lock_files_pin_by_hash_and_name_no_place(name: str) -> None:
    text = (TOP / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    assert re.findall(r"://|^--|file:/", text, re.MULTILINE) == []
    blocks = re.split(r"\n(?=[a-z0-9])", "\n" + "\n".join(re.findall(r"^[^#].*$", text, re.MULTILINE)))
    pins = [block for block in blocks if block.strip()]
    assert pins
    assert [block for block in pins if "==" not in block or "--hash=sha256:" not in block] == []


def test_locked_names_are_the_declared_dependencies() -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[<>=]", line)[0] for line in project["dependencies"]}
    listed = {
        re.split(r"[<>=]", line)[0]
        for line in (TOP / "requirements" / "runtime.in").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    }
    assert listed - {"setuptools"} == declared


def test_both_readmes_name_the_same_commands() -> None:
    texts = [(TOP / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md")]
    commands = [
        [
            line
            for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
            for line in block.split("\n")
        ]
        for text in texts
    ]
    # What follows a # explains and is translated; titles inside quotation marks are text, too.
    plain = [[re.sub(r"\s*#.*| *'[^']*'", "", line) for line in block] for block in commands]
    assert plain[0] == plain[1]
    assert {"sh scripts/demo", "sh scripts/test"} <= set(plain[0])


def test_no_unit_of_the_daemon_hides_who_calls_it_or_what_it_reads() -> None:
    # In a user namespace of its own the kernel shows every caller but the daemon's user and root as `nobody`: roles of
    # users and groups would fit no one, and the audit log would name no one.
    for name in ("relay.service", "relay@.service"):
        lines = (TOP / "systemd" / name).read_text(encoding="utf-8").splitlines()
        assert not [line for line in lines if line.startswith(("PrivateUsers=", "DynamicUser=", "RootDirectory="))]
        # /proc/sys/kernel/random/boot_id says whether the machine was started anew (`machine_boot` in relay/clock.py).
        assert "ProcSubset=pid" not in lines
    lines = (TOP / "systemd" / "relay-timestamp.service").read_text(encoding="utf-8").splitlines()
    assert "PrivateUsers=yes" in lines  # which serves nobody


def test_the_two_units_differ_in_the_office_only() -> None:
    one = (TOP / "systemd" / "relay.service").read_text(encoding="utf-8").splitlines()[1:]
    many = (TOP / "systemd" / "relay@.service").read_text(encoding="utf-8").splitlines()[1:]
    assert [line.replace("-offices/%i", "").replace(" of %i", "") for line in many] == one
