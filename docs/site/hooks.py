"""For MkDocs: which files are pages of the site, and the pages of the reference.

Pages keep their paths in the repository as their sources, so that one relative link leads from
`README.md` to `docs/tutorial.md` here and there.
"""

import pathlib

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from docs.site import public

ROOT = pathlib.Path(__file__).parents[2]
# Programs lie beside the page that links them.
PAGES = ("*.md", "docs/**/*.md", "examples/*.md", "examples/*.py", "examples/*.ipynb")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replaces what MkDocs found in `docs/` by the pages of the site."""
    for file in [file for file in files if file.src_dir == config.docs_dir]:
        files.remove(file)
    for path in sorted(path for pattern in PAGES for path in ROOT.glob(pattern)):
        name = str(path.relative_to(ROOT))
        place = File(name.removeprefix("docs/"), None, "", True).dest_uri.lower()
        files.append(File(name, str(ROOT), config.site_dir, True, dest_uri=place))
    for path in public.pages():
        name = f"reference/{path.removeprefix('jslim.')}.md"
        files.append(File.generated(config, name, content=reference(path)))
    return files


def reference(module: str) -> str:
    """The page of a public module: its docstring, its modules, its names, and where others are."""
    here = public.pages()[module]
    modules = {
        path: f": {(inside.__doc__ or '').partition(chr(10))[0]}"
        for path, inside in public.modules().items()
        if path.rpartition(".")[0] == module
    }
    elsewhere = {
        name.paths[0]: ""
        for name in public.names()
        if name not in here
        and name.paths[0] not in public.modules()
        and any(path.rpartition(".")[0] == module for path in name.paths)
    }
    return "\n\n".join(
        [
            f"{_entry((module,), '#')}\n      members: []",
            *_list("Modules:", modules),
            *(_entry(name.paths, "##") for name in sorted(here)),
            *_list("## Names that other pages describe", elsewhere),
        ]
    )


def _written(path: str) -> str:
    return path.replace("jslim", "slim", 1)


def _list(title: str, paths: dict[str, str]) -> list[str]:
    lines = (f"- [`{_written(path)}`][{path}]{text}" for path, text in sorted(paths.items()))
    return [title, "\n".join(lines)] if paths else []


def _entry(paths: tuple[str, ...], level: str) -> str:
    """The directive for one object, with all names that it has in the heading."""
    first, *others = dict.fromkeys(path.rpartition(".")[2] for path in paths)
    heading = ", ".join([_written(paths[0]), *others])
    options = f"    options:\n      heading: {heading}\n      toc_label: {first}"
    return f"{level} ::: {paths[0]}\n{options}"
