"""Plug-ins by name or dotted path. Names are read from source, so that listing imports nothing heavy."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.named_code import is_module
from hsa_bench.core.input.suggest import did_you_mean


def folder(package: str) -> Path:
    """Where a package's files are, without importing its modules."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations, f"{package} is not a package"
    return Path(next(iter(spec.submodule_search_locations)))


def files(package: str) -> dict[str, Path]:
    """Plug-in files of a package by name; a name has hyphens where the file has underscores."""
    return {
        path.stem.replace("_", "-"): path
        for path in sorted(folder(package).glob("*.py"))
        if not path.stem.startswith("_")
    }


def declared(path: Path) -> tuple[str, ...]:
    """The literal tuple `NAMES` of a plug-in file; its own name if there is none."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "NAMES":
            return tuple(ast.literal_eval(node.value))
    return (path.stem.replace("_", "-"),)


def summary(path: Path) -> str:
    """First line of a plug-in's docstring, for `--list`."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]


def names(package: str) -> dict[str, str]:
    """Every name a package declares, and the plug-in file that declares it."""
    found: dict[str, str] = {}
    for plugin, path in files(package).items():
        for name in declared(path):
            found[name] = plugin
    return found


def load(package: str, name: str) -> ModuleType:
    """Import the plug-in of that file name, declared name, or dotted path.

    Raises:
        UsageError: There is none; the message suggests near names.
    """
    plugins = files(package)
    plugin = name if name in plugins else names(package).get(name)
    if plugin is not None:
        return importlib.import_module(f"{package}.{plugins[plugin].stem}")
    if is_module(name):
        return imported(name, name)
    known = sorted({*plugins, *names(package)})
    raise UsageError(f"{name}: not found; {did_you_mean(name, known)}, or package.module of one of your own")


def imported(module: str, asked: str) -> ModuleType:
    """Import a module of the user's own, whatever happens in it.

    Args:
        module: Its dotted name.
        asked: What the user wrote, for the message.

    Raises:
        UsageError: It cannot be imported.
    """
    with own_code(f"{asked}: cannot be imported"):
        return importlib.import_module(module)


@contextmanager
def own_code(what: str) -> Iterator[None]:
    """Run code of the user's; whatever it raises is a refusal, an attempt to end the process too.

    Raises:
        UsageError: It raised; the message begins with `what`.
    """
    try:
        yield
    except ImportError as error:
        raise UsageError(f"{what} ({error})") from error
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # sys.exit too: the user's code may not end our process
        raise UsageError(f"{what} ({type(error).__name__}: {error})") from error
