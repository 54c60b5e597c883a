"""Files and folders of programs: reading, finding what is a program's own, writing."""

import os
import pathlib
import tokenize
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from jslim.compat.port import Finding, Ported, port_source
from jslim.compat.port._notebooks import port_notebook
from jslim.host.files import UnfinishedFile

KINDS = (".py", ".ipynb")


class PortedFile(NamedTuple):
    """A file, and what became of it.

    Attributes:
      path: Where it is.
      output: Where the new one goes.
      encoding: In what both are written.
      ported: The new text, and what was found; None if it was refused.
      is_changed: Whether the new text is another one.
      refusal: Why it was refused.
    """

    path: pathlib.Path
    output: pathlib.Path
    encoding: str
    ported: Ported | None
    is_changed: bool
    refusal: str = ""

    @property
    def findings(self) -> Sequence[Finding]:
        """What was found."""
        return self.ported.findings if self.ported else ()


def pairs_of(
    paths: Sequence[str], output: str | None
) -> list[tuple[pathlib.Path, pathlib.Path, pathlib.Path]]:
    """The programs in files and folders: each with its folder, and where the new one goes.

    Args:
      paths: Files, and folders whose files are taken at any depth.
      output: A folder; or a file, for one file. None: the same places.

    Raises:
      FileNotFoundError: There is no such file, or none in a folder.
      ValueError: It is neither a Python file nor a notebook, or two have one place.
    """
    is_file = len(paths) == 1 and output is not None and output.endswith(KINDS)
    found = []
    for name in paths:
        path = pathlib.Path(name)
        if path.is_dir():
            inside = sorted(_inside(path))
            if not inside:
                raise FileNotFoundError(f"there is no {' or '.join(KINDS)} file in {name}")
            found += [(file, path, file.relative_to(path)) for file in inside]
        elif not path.is_file():
            raise FileNotFoundError(f"there is no file {name}")
        elif path.suffix not in KINDS:
            raise ValueError(f"{name} is neither a Python file nor a notebook")
        else:
            found.append((path, path.parent, pathlib.Path(path.name)))
    if output is None:
        return [(file, folder, file) for file, folder, _ in found]
    root = pathlib.Path(output)
    pairs = [(file, folder, root if is_file else root / rest) for file, folder, rest in found]
    places = [place for *_, place in pairs]
    twice = next((place for place in places if places.count(place) > 1), None)
    if twice is not None:
        raise ValueError(f"two files would become {twice}; port their folders one by one")
    return pairs


def _inside(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "__pycache__"))]
        yield from (pathlib.Path(place, name) for name in files if name.endswith(KINDS))


def port_file(path: pathlib.Path, folder: pathlib.Path, output: pathlib.Path) -> PortedFile:
    """Converts a file; nothing is written. A file that cannot be converted is refused in words."""
    encoding = "utf-8"
    try:
        if path.suffix == ".py":
            with path.open("rb") as opened:
                encoding = tokenize.detect_encoding(opened.readline)[0]
        with path.open(encoding=encoding, newline="") as opened:
            text = opened.read()
        port = port_source if path.suffix == ".py" else port_notebook
        ported = port(
            text,
            str(path),
            lambda name: _is_local(name, path, folder),
            lambda name: _text_of(name, path, folder),
        )
    except UnicodeDecodeError:
        refusal = f"{path} is not in {encoding}; write it in UTF-8 first"
        return PortedFile(path, output, encoding, None, False, refusal)
    except (ValueError, SyntaxError) as error:
        return PortedFile(path, output, encoding, None, False, str(error))
    return PortedFile(path, output, encoding, ported, ported.source != text)


def _places(path: pathlib.Path, folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Where the modules of a program lie: beside a file, and above it up to the first folder."""
    root = folder.resolve()
    for place in (path.parent, *path.parent.parents):
        yield place
        if place.resolve() == root:
            return


def _is_local(name: str, path: pathlib.Path, folder: pathlib.Path) -> bool:
    """Whether a module of this name is beside a file, or in the folders above up to the first."""
    return any(
        (place / name).is_dir() or (place / f"{name}.py").is_file()
        for place in _places(path, folder)
    )


def _text_of(name: str, path: pathlib.Path, folder: pathlib.Path) -> str | None:
    """The text of a module of the program; None where there is none that can be read."""
    for place in _places(path, folder):
        file = place.joinpath(*name.split(".")).with_suffix(".py")
        try:
            if file.is_file():
                return file.read_text("utf-8")
        except (OSError, ValueError):
            return None
    return None


def write(file: PortedFile) -> None:
    """Writes the new file; it has its name only when it is whole."""
    assert file.ported is not None
    file.output.parent.mkdir(parents=True, exist_ok=True)
    with (
        UnfinishedFile(file.output) as unfinished,
        unfinished.path.open("w", encoding=file.encoding, newline="") as opened,
    ):
        opened.write(file.ported.source)
