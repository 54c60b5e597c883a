"""The site of the documents: it builds, its pages are whole, its reference has all public names."""

import html
import inspect
import os
import re
import subprocess
import sys
import zlib

import pytest
import yaml

import jslim
from docs.site import public
from docs.site.docstrings import to_markdown
from tests.links import ROOT

CONFIG = ROOT / "docs" / "site" / "mkdocs.yml"


def test_each_object_is_described_once_under_its_shortest_path():
    described = [name for names in public.pages().values() for name in names]
    paths = [path for name in described for path in name.paths]
    assert len(paths) == len(set(paths)) > 700
    by_path = {name.paths[0]: name for name in described}
    assert by_path["jslim.conv2d"].value is jslim.conv2d
    assert by_path["jslim.conv2d"].paths == (
        "jslim.conv2d",
        "jslim.convolution2d",
        "jslim.layers.conv2d",
        "jslim.layers.convolution2d",
    )
    assert by_path["jslim.load"] in public.pages()["jslim.prediction"]
    assert "jslim.core" not in public.paths()
    assert by_path["jslim.summaries.scalar"].paths[1] == "jslim.summary.scalar"


def test_names_that_modules_define_are_public_there():
    """What a look at the modules finds, without reading their source."""
    missing = [
        path
        for at, module in public.modules().items()
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
        if inspect.isclass(value) or inspect.isfunction(value)
        if (path := f"{at}.{name}") not in public.paths()
    ]
    assert missing == []
    assert {f"jslim.{name}" for name in dir(jslim) if name[0] != "_"} <= public.paths()


def pages_in(nav):
    for entry in nav:
        inside = next(iter(entry.values())) if isinstance(entry, dict) else entry
        yield from [inside] if isinstance(inside, str) else pages_in(inside)


def test_the_navigation_has_every_document_and_every_page_of_the_reference():
    listed = list(pages_in(yaml.safe_load(CONFIG.read_text())["nav"]))
    documents = {
        str(path.relative_to(ROOT))
        for pattern in ("*.md", "docs/**/*.md", "examples/*.md")
        for path in ROOT.glob(pattern)
    }
    reference = {f"reference/{path.removeprefix('jslim.')}.md" for path in public.pages()}
    assert set(listed) == documents | reference
    assert len(listed) == len(set(listed))


DOCSTRING = """A function.

`update(state, values, *, weights=None)`:
    values: Real numbers
        of any shape.
    weights: See there.

With a name:

    >>> double(1)
    2

Args:
  first, *second, third: Goes on
    in this line.
  fourth: Has a, b: c.

Example:
  >>> double(2)
  4

>>> double(3)
6
"""

MARKDOWN = """A function.

`update(state, values, *, weights=None)`:

- `values`: Real numbers
        of any shape.
- `weights`: See there.

With a name:

```pycon
>>> double(1)
2
```

Args:
  first: Goes on
    in this line.
  *second: Goes on
    in this line.
  third: Goes on
    in this line.
  fourth: Has a, b: c.

Example:
  ```pycon
  >>> double(2)
  4
  ```

```pycon
>>> double(3)
6
```
"""


def test_docstrings_become_markdown():
    assert to_markdown(DOCSTRING) == MARKDOWN


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site, built as `make docs` builds it."""
    pytest.importorskip("mkdocs", reason="`make test-all` installs what builds the site")
    directory = tmp_path_factory.mktemp("site")
    build = ["-m", "mkdocs", "build", "--strict", "--config-file", CONFIG, "--site-dir", directory]
    done = subprocess.run(
        [sys.executable, *build],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return directory


@pytest.mark.long
def test_the_inventory_of_the_site_has_every_public_name(site):
    packed = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    listed = {line.split()[0] for line in zlib.decompress(packed).decode().splitlines()}
    assert sorted(public.paths() - listed) == []


# What stands in the text of a page if its Markdown was not understood.
RAW_MARKDOWN = re.compile(
    r"^\s*(?:[-*] |\d+\. |#+ |\|)|```|>>>|`|\]\(|(?:^|\s)\*\*\w|\w\*\*(?:\s|$)"
    r"|^(?:Args|Arguments|Example):",
    re.MULTILINE,
)


@pytest.mark.long
def test_the_pages_show_no_raw_markdown(site):
    found = []
    texts = 0
    for page in sorted(site.rglob("index.html")):
        content = re.search(r"<article.*?</article>", page.read_text(), re.DOTALL)[0]
        content = re.sub(r"<(pre|code|h\d)\b.*?</\1>", "", content, flags=re.DOTALL)
        for text in re.split(r"</?(?:p|li|td|th|blockquote|div|ul|ol)\b[^>]*>", content):
            text = html.unescape(re.sub(r"<[^>]*>", "", text)).strip()
            texts += bool(text)
            if RAW_MARKDOWN.search(text):
                found.append(f"{page.relative_to(site)}: {text[:100]}")
    assert found == []
    assert texts > 5000


@pytest.mark.long
def test_the_pages_fetch_nothing_from_elsewhere(site):
    fetched = [
        f"{page.relative_to(site)}: {url}"
        for page in sorted(site.rglob("*.html"))
        for url in re.findall(r"(?:\bsrc=|<link [^>]*href=)\"?(https?:[^\" >]*)", page.read_text())
    ]
    fetched += [
        f"{sheet.relative_to(site)}: {url}"
        for sheet in sorted(site.rglob("*.css"))
        for url in re.findall(r"url\([\"']?((?:https?:)?//[^)]*)", sheet.read_text())
    ]
    assert fetched == []
