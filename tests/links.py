"""Links and paths in the documents: `python tests/links.py` names those that lead nowhere.

It looks at files of the repository and at their headings, and leaves the network alone.
"""

import collections
import pathlib
import re
import sys
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parent.parent
PATTERNS = ("*.md", "docs/**/*.md", "*/NOTES.md", "examples/*.md")
DOCUMENTS = [path for pattern in PATTERNS for path in ROOT.glob(pattern)]

# `[text](target)`, `[text](target "title")`, and `[name]: target` on a line of its own.
LINK = re.compile(r"\]\(<?([^)\s>]*)|^\[[^\]]+\]: +(\S+)")
ELSEWHERE = re.compile(r"[a-z]+:")
# A file or folder of the repository in backticks; NAME stands for any name.
PATH = re.compile(r"`((?:benchmarks|docs|examples|jslim|tests)/[\w./-]*)`")


def prose(document: pathlib.Path) -> Iterator[tuple[int, str]]:
    """The numbered lines of a document outside its fenced blocks."""
    is_inside = False
    for number, line in enumerate(document.read_text().splitlines(), start=1):
        if line.startswith("```"):
            is_inside = not is_inside
        elif not is_inside:
            yield number, line


def anchors(document: pathlib.Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a document."""
    counts: collections.Counter[str] = collections.Counter()
    found = set()
    for _, line in prose(document):
        if heading := re.fullmatch(r"#+ +(.*?) *#*", line):
            anchor = re.sub(r"[^\w -]", "", heading[1].lower()).replace(" ", "-")
            found.add(f"{anchor}-{counts[anchor]}" if counts[anchor] else anchor)
            counts[anchor] += 1
    return found


def broken_links(document: pathlib.Path) -> list[str]:
    """`file:line: what is missing`, for each link or path of a document that leads nowhere."""
    broken = []
    for number, line in prose(document):
        broken += [
            f"{document.relative_to(ROOT)}:{number}: there is no {path!r}"
            for path in PATH.findall(line)
            if "NAME" not in path and not (ROOT / path).exists()
        ]
        for link in LINK.finditer(re.sub(r"`[^`]*`", "", line)):
            target = link[1] or link[2] or ""
            if ELSEWHERE.match(target):
                continue
            path, _, anchor = target.partition("#")
            at = document.parent / path if path else document
            if not at.exists():
                missing = f"there is no {path!r}"
            elif anchor and anchor not in anchors(at):
                missing = f"{at.name} has no heading for #{anchor}"
            else:
                continue
            broken.append(f"{document.relative_to(ROOT)}:{number}: {missing}")
    return broken


if __name__ == "__main__":
    found = [link for document in DOCUMENTS for link in broken_links(document)]
    sys.exit("\n".join(found) or None)
