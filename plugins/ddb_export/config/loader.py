"""Reads a folder of YAML files into tables, and keeps what is wrong with one file away from the others.

A file holds one table (a mapping), or ``tables:`` (a list) with ``defaults:`` for them. ``_defaults.yaml``
holds defaults for all files of the folder. Folder, file, table: the later one wins, key by key, also within blocks;
``filter`` and ``contract.entities`` are taken whole (:mod:`ddb_export.config.layers`). A key beside ``tables`` that begins
with ``x-`` may hold anchors.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple, overload

from pydantic import ValidationError

from ddb_export.config.explain import Location, explain
from ddb_export.config.file_shape import defaults_in, tables_in
from ddb_export.config.layers import layered
from ddb_export.config.model import TableConfiguration
from ddb_export.config.problems import InvalidFileError, Problem, ProblemError
from ddb_export.config.yaml_source import Located, read_yaml
from ddb_export.exceptions import ConfigurationError

DEFAULTS_FILES = ("_defaults.yaml", "_defaults.yml")
_AMOUNTS = ("budget", "prices")


class LoadedTables(NamedTuple):
    """What a folder holds: the tables that can be used, and one error for each file that cannot in full."""

    tables: tuple[TableConfiguration, ...]
    errors: tuple[ConfigurationError, ...]


@dataclass(frozen=True)
class _Declared:
    table: TableConfiguration
    place: Located


@overload
def load_tables(folder: Path, on_error: Literal["raise"] = "raise") -> tuple[TableConfiguration, ...]: ...
@overload
def load_tables(folder: Path, on_error: Literal["collect"]) -> LoadedTables: ...
def load_tables(
    folder: Path, on_error: Literal["raise", "collect"] = "raise"
) -> tuple[TableConfiguration, ...] | LoadedTables:
    """Read all tables that are declared in the ``*.yaml`` and ``*.yml`` files of a folder.

    Files are read in the order of their names; subfolders and names that begin with a dot are left out.

    :param folder: the folder; its name begins the place that errors give.
    :param on_error: ``raise`` for all or nothing; ``collect`` to get the tables that are right together with
        the errors. Two tables that would share a name or a folder are both left out, for nobody can tell
        which one owns the lake.
    :return: the tables in the order of their declaration; with ``collect`` :class:`LoadedTables`, whose
        errors are one :class:`InvalidFileError` per file.
    :raises ConfigurationError: with ``raise``, the first problem in one line, as ``path:line:column: cause.
        Remedy: …``; its attribute ``errors`` (:class:`InvalidFileError`) holds all problems of all files.
    """
    problems: list[Problem] = []
    declared: list[_Declared] = []
    try:
        files, defaults_file = _files(folder)
    except ConfigurationError as error:
        if on_error == "raise":
            raise
        return LoadedTables((), (error,))
    try:
        defaults = _folder_defaults(defaults_file)
    except ProblemError as found:
        # Without its defaults no table is what its author meant.
        files, defaults = [], None
        problems += found.problems
    for file in files:
        try:
            found_tables, found_problems = _read_file(file, defaults)
        except ProblemError as found:
            problems += found.problems
        else:
            declared += found_tables
            problems += found_problems
    declared, collisions = _without_collisions(declared)
    problems += collisions
    if problems and on_error == "raise":
        raise InvalidFileError.of(problems)
    tables = tuple(one.table for one in declared)
    return LoadedTables(tables, _errors_by_file(problems)) if on_error == "collect" else tables


def unread_files(folder: Path) -> tuple[Path, ...]:
    """Return the YAML files below a folder that :func:`load_tables` leaves out, because they lie in subfolders.

    :raises ConfigurationError: the folder cannot be read.
    """
    _files(folder)
    below = (file for pattern in ("*.yaml", "*.yml") for file in folder.glob(f"*/**/{pattern}"))
    return tuple(sorted(file for file in below if not any(part.startswith(".") for part in file.parts)))


def keys_with_defaults(folder: Path) -> frozenset[str]:
    """Return the keys that have a default for all tables of a folder; none if there is no such folder.

    :raises ConfigurationError: the defaults cannot be used.
    """
    if not folder.exists():
        return frozenset()
    try:
        defaults = _folder_defaults(_files(folder)[1])
    except ProblemError as found:
        raise InvalidFileError.of(found.problems) from None
    return frozenset(defaults.entries or ()) if defaults else frozenset()


def try_file(file: Path, text: str) -> LoadedTables:
    """Say what :func:`load_tables` would say of a folder if it held one more file; nothing is written there.

    :param file: the file that does not exist yet. :param text: what it would hold.
    """
    with TemporaryDirectory() as staged:
        if file.parent.is_dir():
            for each in file.parent.iterdir():
                if each.suffix in (".yaml", ".yml") and each.name != file.name:
                    (Path(staged) / each.name).symlink_to(each.resolve())
        (Path(staged) / file.name).write_text(text, encoding="utf-8")
        loaded = load_tables(Path(staged), on_error="collect")
    found = [problem for error in loaded.errors if isinstance(error, InvalidFileError) for problem in error.errors]
    # What a cause says of another file's place names the staged folder too.
    placed = [
        replace(
            each,
            path=each.path.replace(staged, str(file.parent), 1),
            cause=each.cause.replace(staged, str(file.parent)),
        )
        for each in found
    ]
    return LoadedTables(loaded.tables, _errors_by_file(placed))


def _errors_by_file(problems: Iterable[Problem]) -> tuple[ConfigurationError, ...]:
    by_file: defaultdict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        by_file[problem.path].append(problem)
    return tuple(InvalidFileError.of(by_file[path]) for path in sorted(by_file))


def _files(folder: Path) -> tuple[list[Path], Path | None]:
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        remedy = "create the folder, or set DDB_EXPORT_TABLES_DIR to the folder of your tables"
        raise ConfigurationError(f"folder {folder}", f"cannot be read ({reason})", remedy) from None
    yaml_names = [name for name in names if name.endswith((".yaml", ".yml")) and not name.startswith(".")]
    defaults = [name for name in yaml_names if name in DEFAULTS_FILES]
    if len(defaults) > 1:
        raise ConfigurationError(f"folder {folder}", f"holds both {' and '.join(defaults)}", "keep one of them")
    tables = [folder / name for name in yaml_names if name not in DEFAULTS_FILES]
    return tables, folder / defaults[0] if defaults else None


def _folder_defaults(file: Path | None) -> Located | None:
    content = read_yaml(file) if file else None
    return None if content is None else defaults_in(content)


def _read_file(file: Path, defaults: Located | None) -> tuple[list[_Declared], list[Problem]]:
    content = read_yaml(file)
    if content is None or content.value is None:
        return [], []
    layers, tables = tables_in(content)
    declared: list[_Declared] = []
    problems: list[Problem] = []
    for table in tables:
        found, wrong = _read_table(layered(layered(defaults, layers), table))
        declared += [_Declared(found, table)] if found else []
        problems += wrong
    return declared, problems


def _read_table(content: Located) -> tuple[TableConfiguration | None, list[Problem]]:
    try:
        return TableConfiguration.model_validate(_plain(content)), []
    except ValidationError as error:
        explained = explain(TableConfiguration, error, lambda location: _find(content, location)[1].written)
    problems = []
    for found in explained:
        key, value = _find(content, found.location)
        place, cause = key if found.at == "key" else value, found.cause
        block = _find(content, found.block)[0]
        if found.block and block.path != place.path:
            # The default is right for other tables: it contradicts what this one says beside it.
            place, cause = block, f"{cause} ('{found.location[-1]}' is in {place.path}:{place.line})"
        problems.append(place.problem(cause, found.remedy))
    return None, problems


def _plain(located: Located, key: str = "", parent: str = "") -> object:
    if located.entries is not None:
        return {name: _plain(entry.value, name, key) for name, entry in located.entries.items()}
    if located.items is not None:
        return [_plain(item) for item in located.items]
    if key == "bucket_owner" and isinstance(located.value, int) and located.written:
        # YAML 1.1 reads 012345670123 as octal; an account id is what was written, leading zero included.
        return located.written if located.written.isdigit() else located.value
    if parent in _AMOUNTS and _is_number(located.value) and located.written:
        # Never through a float: an amount is what was written, to the last digit.
        return located.written
    return located.value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _find(content: Located, location: Location) -> tuple[Located, Located]:
    """The key and the value at a location, or the deepest ones on the way that were written."""
    key = value = content
    for part in location:
        if value.entries is not None and part in value.entries:
            entry = value.entries[str(part)]
            key, value = entry.key, entry.value
        elif value.items is not None and isinstance(part, int) and part < len(value.items):
            key = value = value.items[part]
        else:
            break
    return key, value


def _without_collisions(declared: list[_Declared]) -> tuple[list[_Declared], list[Problem]]:
    problems: list[Problem] = []
    colliding: set[int] = set()

    def collide(first: _Declared, second: _Declared, what: str) -> None:
        for one, other in ((first, second), (second, first)):
            colliding.add(id(one))
            place = (one.place.entries or {}).get("name") or (one.place.entries or {}).get("table")
            at = place.value if place else one.place
            cause = f"table '{one.table.name}' would share {what} with table '{other.table.name}' in {_line(other)}"
            problems.append(at.problem(cause, "give one of them another 'name'"))

    names: dict[str, _Declared] = {}
    for one in declared:
        shared = [(name, names[name]) for name in one.table.glue_tables.values() if name in names]
        for other in {id(other): other for _, other in shared}.values():
            if one.table.name == other.table.name:
                collide(one, other, f"the DAG '{one.table.dag_id}'")
            else:
                name = next(name for name, owner in shared if owner is other)
                collide(one, other, f"the Glue table '{name}'")
        for name in one.table.glue_tables.values():
            names.setdefault(name, one)
    folders = {f"{one.table.lake_uri}/": one for one in declared}
    for uri, one in folders.items():
        parts = uri.split("/")
        for length in range(4, len(parts) - 1):
            outer = folders.get("/".join(parts[:length]) + "/")
            if outer is not None and outer is not one:
                collide(one, outer, f"the folder {outer.table.lake_uri}/")
    return [one for one in declared if id(one) not in colliding], problems


def _line(declared: _Declared) -> str:
    return f"{declared.place.path}:{declared.place.line}"
