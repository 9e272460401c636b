"""Count what makes the code hard or easy to read: names, roles, circles, tables.

    python -m tests.structure              # the tree as it stands
    python -m tests.structure 4b5509f      # that commit beside the tree as it stands
    python -m tests.structure A B          # commit A beside commit B

Reads the syntax trees of ``services`` (``--root`` for another folder), and needs
nothing but the standard library and git. ``tests/unit/test_names.py`` uses the same
counts as a gate.

`benchmarks/structure.md` records the figures of the commits that changed them most.
"""

from __future__ import annotations

import argparse
import ast
import io
import itertools
import re
import subprocess
import sys
import tarfile
import tokenize
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = "services/netduet"
REPOSITORY: Final = Path(__file__).resolve().parent.parent

CHECKS: Final = "client/checks/"

MAX_NAMES: Final = 5
"""How many of the most used names are printed."""

MIN_TABLE_KEYS: Final = 2
"""Keys of one kind from which on a dict, set or tuple counts as a table."""

_BASES: Final = frozenset({"self", "cls", "_"})
"""Names that the language gives, not the project."""

_MEANING: Final = re.compile(
    r"(^|_)(MAX|MIN|SECONDS|MINUTES?|HOURS?|MS|US|NS|HZ|BYTES|[KMG]IB|SIZE|LENGTH|OFFSET"
    r"|COUNT|SHARE|RATIO|FACTOR|PERCENT|PROBABILITY|CONFIDENCE|TOLERANCE"
    r"|INTERVAL|TIMEOUT|DELAY|PERIOD|AGE|LEASE"
    r"|ATTEMPTS|TRIES|RETRIES|ROUNDS|ROUND_TRIPS|SAMPLES|SLICES|DATAGRAMS|PACKETS"
    r"|CONNECTIONS|ADDRESSES|LINES|ROWS|COLUMNS|WIDTH|DEPTH|DIGITS|FRAMES|GAPS"
    r"|PROBES|QUERIES|QUESTIONS|PERIODS|STEPS|TURNS|PER|SIMILARITY|PORT|VERSION|STATUS|MASK|BIT|FLAGS?|LIMIT|THRESHOLD|SO|IP|IPV6|TCP|UDP|SOL)(_|$)"
)
"""Words of a constant's name that say its unit, or that it is a bound or a code."""

_DIRECTIONS: Final = frozenset(
    (
        *("up", "down", "upload", "download", "forth", "back", "→", "←"),
        *("client", "server", "path", "path →", "path ←", "path_up", "path_down"),
        *("here", "there", "both", "between", "to_server", "to_client"),
    )
)
"""Words for a direction or an end, in lower case."""

Tree = Mapping[str, ast.Module]


@dataclass(frozen=True, slots=True)
class Definition:
    """Something that a file defines at a line."""

    name: str
    path: str
    line: int

    def __str__(self) -> str:
        """Return it as ``path:line name``."""
        return f"{self.path}:{self.line} {self.name}"


# Reading a tree


def read_sources(revision: str | None, root: str = ROOT) -> dict[str, str]:
    """Return the text of each Python file of a commit, or of the working tree."""
    if revision is None:
        files = sorted((REPOSITORY / root).rglob("*.py"))
        return {
            str(file.relative_to(REPOSITORY / root)): file.read_text() for file in files
        }
    command = ["git", "-C", str(REPOSITORY), "archive", f"{revision}:{root}"]
    packed = subprocess.run(command, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        return {
            member.name: archive.extractfile(member).read().decode()  # type: ignore[union-attr]
            for member in archive
            if member.isfile() and member.name.endswith(".py")
        }


def parse(sources: Mapping[str, str]) -> dict[str, ast.Module]:
    """Return the syntax tree of each file."""
    return {path: ast.parse(text) for path, text in sorted(sources.items())}


def logical_lines(text: str) -> int:
    """Count statements: what the formatter breaks into several lines counts once."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return sum(token.type == tokenize.NEWLINE for token in tokens)


# Names


def bound_names(module: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield each name that code binds, with its line.

    Variables, attributes, parameters, functions, classes, and the names of imports.
    """
    for node in ast.walk(module):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.arg(arg=name):
                yield name, node.lineno
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node.lineno
            case ast.ExceptHandler(name=str(name)):
                yield name, node.lineno
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name, node.lineno
            case ast.alias(asname=str(name)):
                yield name, node.lineno
            case _:
                pass


def used_names(module: ast.AST) -> Iterator[str]:
    """Yield each name where it stands: bound, read, passed by keyword."""
    for node in ast.walk(module):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name
            case ast.keyword(arg=str(name)):
                yield name
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name
            case _:
                pass


def own_name_uses(tree: Tree) -> Counter[str]:
    """Count the uses of each name that the project itself binds."""
    bound = {name for module in tree.values() for name, _ in bound_names(module)}
    uses = Counter(name for module in tree.values() for name in used_names(module))
    return Counter({name: uses[name] for name in bound - _BASES})


def shared_class_names(tree: Tree) -> dict[str, list[Definition]]:
    """Return the class names that stand in more than one file."""
    found: dict[str, list[Definition]] = defaultdict(list)
    for path, module in tree.items():
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(Definition(node.name, path, node.lineno))
    return {
        name: places
        for name, places in sorted(found.items())
        if len({place.path for place in places}) > 1
    }


def numeric_constants(tree: Tree) -> Iterator[tuple[Definition, bool]]:
    """Yield each module-level number declared Final, and whether it is explained.

    It is when its name says a unit, a bound or a code, or a docstring is right below.
    """
    for path, module in tree.items():
        for node, after in itertools.zip_longest(module.body, module.body[1:]):
            if not _is_numeric_constant(node):
                continue
            name = node.target.id  # type: ignore[union-attr,attr-defined]
            explained = _is_docstring(after) or _MEANING.search(name.upper())
            yield Definition(name, path, node.lineno), bool(explained)


def _is_numeric_constant(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and "Final" in ast.unparse(node.annotation)
        and node.value is not None
        and _is_number(node.value)
    )


def _is_number(node: ast.expr) -> bool:
    """Tell whether an expression is made of numbers alone; a Name may be a unit."""
    match node:
        case ast.Constant(value=value):
            return isinstance(value, int | float) and not isinstance(value, bool)
        case ast.UnaryOp(operand=operand):
            return _is_number(operand)
        case ast.BinOp(left=left, right=right):
            sides = (left, right)
            return any(map(_is_number, sides)) and all(
                _is_number(side) or isinstance(side, ast.Name) for side in sides
            )
        case _:
            return False


def _is_docstring(node: ast.stmt | None) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


# Roles


def role_files(tree: Tree, function: str) -> dict[str, list[str]]:
    """Return the names of the files that hold a role's function, each with its files.

    A check that is one file holds all of its roles there, and is not counted.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for path, module in tree.items():
        if not path.startswith(CHECKS):
            continue
        functions = {
            node.name
            for node in ast.walk(module)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        if function in functions and not {"measure", "judge"} <= functions:
            found[Path(path).stem].append(path)
    return dict(sorted(found.items()))


# Imports


def import_graph(tree: Tree) -> dict[str, set[str]]:
    """Return for each module those of the project that it imports, for types as well."""
    modules = {_module_name(path) for path in tree}
    graph: dict[str, set[str]] = {}
    for path, module in tree.items():
        name = _module_name(path)
        imported = set(_imported(module, modules))
        graph[name] = imported - {name}
    return graph


def _module_name(path: str) -> str:
    dotted = path.removesuffix(".py").replace("/", ".")
    return f"netduet.{dotted}"


def _imported(module: ast.Module, modules: set[str]) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parent = name.rpartition(".")[0]
            for choice in (name, f"{name}.__init__", parent, f"{parent}.__init__"):
                if choice in modules:
                    yield choice
                    break


def circles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the groups of nodes that reach each other (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for following in graph.get(node, ()):
            if following not in index:
                visit(following)
                low[node] = min(low[node], low[following])
            elif following in stack:
                low[node] = min(low[node], index[following])
        if low[node] == index[node]:
            start = stack.index(node)
            group = sorted(stack[start:])
            del stack[start:]
            if len(group) > 1:
                found.append(group)

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return sorted(found)


def arrows_up(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the imports against the main direction between two siblings of a folder.

    Where both of two siblings (modules or folders) import from each other, those of
    the rarer direction point up.
    """
    between: dict[tuple[str, str], list[str]] = defaultdict(list)
    for importer, targets in graph.items():
        for target in targets:
            pair = _siblings(importer, target)
            between[pair].append(f"{importer} -> {target}")
    found = []
    for (first, second), arrows in sorted(between.items()):
        back = between.get((second, first), [])
        fewer = (len(arrows), first) < (len(back), second)
        if back and fewer:
            found.extend(sorted(arrows))
    return found


def _siblings(importer: str, target: str) -> tuple[str, str]:
    """Return the two names at which two dotted paths part."""
    first, second = importer.split("."), target.split(".")
    depth = 0
    while first[depth] == second[depth]:
        depth += 1
    return ".".join(first[: depth + 1]), ".".join(second[: depth + 1])


# Tables


def errno_tables(tree: Tree) -> list[Definition]:
    """Return the dicts that say what several errnos mean."""
    return list(_tables(tree, _is_errno, (ast.Dict,)))


def errno_sets(tree: Tree) -> list[Definition]:
    """Return the sets and tuples that list several errnos."""
    return list(_tables(tree, _is_errno, (ast.Set, ast.Tuple, ast.List)))


def direction_tables(tree: Tree) -> list[Definition]:
    """Return the dicts that are keyed by directions or ends."""
    return list(_tables(tree, _is_direction, (ast.Dict,)))


def direction_types(tree: Tree) -> list[Definition]:
    """Return the enums whose members are directions or ends."""
    found = []
    for path, module in tree.items():
        for node in ast.walk(module):
            if not isinstance(node, ast.ClassDef):
                continue
            members = [
                target.id.lower()
                for statement in node.body
                if isinstance(statement, ast.Assign)
                for target in statement.targets
                if isinstance(target, ast.Name)
            ]
            known = [member for member in members if member in _DIRECTIONS]
            if len(known) >= MIN_TABLE_KEYS and "Enum" in ast.unparse(node):
                found.append(Definition(node.name, path, node.lineno))
    return found


def files_with_errno(tree: Tree) -> list[str]:
    """Return the files that name an errno constant."""
    return [
        path
        for path, module in tree.items()
        if any(_is_errno(node) for node in ast.walk(module))
    ]


def _tables(
    tree: Tree,
    wanted: Callable[[ast.AST], bool],
    kinds: tuple[type[ast.expr], ...],
) -> Iterator[Definition]:
    for path, module in tree.items():
        for node in ast.walk(module):
            if not isinstance(node, kinds):
                continue
            keys = node.keys if isinstance(node, ast.Dict) else node.elts  # type: ignore[attr-defined]
            matching = [key for key in keys if key is not None and wanted(key)]
            if len(matching) >= MIN_TABLE_KEYS and len(matching) == len(keys):
                text = ast.unparse(matching[0])
                yield Definition(f"{{{text}, …}}", path, node.lineno)


def _is_errno(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "errno"
        and node.attr.startswith("E")
    )


def _is_direction(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=str(text)):
            return text.lower() in _DIRECTIONS
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name.isupper() and name.lower() in _DIRECTIONS
        case _:
            return False


# Printing


def figures(sources: Mapping[str, str]) -> dict[str, str]:
    """Return each figure as text, in the order in which they are printed."""
    tree = parse(sources)
    uses = own_name_uses(tree)
    total = sum(uses.values())
    graph = import_graph(tree)
    groups = circles(graph)
    constants = list(numeric_constants(tree))
    explained = sum(good for _, good in constants)
    rows = {
        "files": str(len(sources)),
        "lines": str(sum(text.count("\n") for text in sources.values())),
        "logical lines": str(sum(map(logical_lines, sources.values()))),
    }
    for rank, (name, count) in enumerate(uses.most_common(MAX_NAMES), start=1):
        rows[f"most used own name, {rank}"] = f"{name} {count} {count / total:.1%}"
    rows["class names defined in several files"] = str(len(shared_class_names(tree)))
    for role in ("measure", "judge"):
        rows[f"names of files that hold {role}()"] = str(len(role_files(tree, role)))
    rows["import circles"] = str(len(groups))
    rows["modules in import circles"] = str(sum(map(len, groups)))
    rows["imports that point up between siblings"] = str(len(arrows_up(graph)))
    rows["files that name an errno"] = str(len(files_with_errno(tree)))
    rows["errno tables (dicts)"] = str(len(errno_tables(tree)))
    rows["errno sets and tuples"] = str(len(errno_sets(tree)))
    rows["enums of directions or ends"] = str(len(direction_types(tree)))
    rows["tables keyed by direction or end"] = str(len(direction_tables(tree)))
    rows["numeric constants explained"] = f"{explained} of {len(constants)}"
    return rows


def details(sources: Mapping[str, str]) -> Iterator[str]:
    """Yield what the figures count, line by line."""
    tree = parse(sources)
    graph = import_graph(tree)
    for name, places in shared_class_names(tree).items():
        yield f"class {name}: {', '.join(place.path for place in places)}"
    for role in ("measure", "judge"):
        yield f"{role}(): {', '.join(role_files(tree, role))}"
    for group in circles(graph):
        yield f"circle: {', '.join(group)}"
    for arrow in arrows_up(graph):
        yield f"up: {arrow}"
    yield f"errno: {', '.join(files_with_errno(tree))}"
    for table in (*errno_tables(tree), *errno_sets(tree)):
        yield f"errno table: {table}"
    for table in (*direction_types(tree), *direction_tables(tree)):
        yield f"direction: {table}"
    for constant, explained in numeric_constants(tree):
        if not explained:
            yield f"unexplained: {constant}"


def main() -> None:
    """Print the figures of one tree, or of two side by side."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("revisions", nargs="*", metavar="REV", help="at most two")
    parser.add_argument("--root", default=ROOT, help="folder to read: %(default)s")
    parser.add_argument("--details", action="store_true", help="list what is counted")
    options = parser.parse_args()
    revisions: list[str | None] = list(options.revisions)
    if len(revisions) < MIN_TABLE_KEYS:
        revisions.append(None)
    columns = [read_sources(revision, options.root) for revision in revisions]
    tables = [figures(column) for column in columns]
    heads = [revision or "working tree" for revision in revisions]
    print(f"{'':42}" + "".join(f"{head:>24}" for head in heads))
    for row in tables[0]:
        print(f"{row:42}" + "".join(f"{table[row]:>24}" for table in tables))
    if options.details:
        for head, column in zip(heads, columns, strict=True):
            print(f"\n{head}:")
            sys.stdout.writelines(f"  {line}\n" for line in details(column))


if __name__ == "__main__":
    main()
