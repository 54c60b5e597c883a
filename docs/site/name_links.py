"""For Markdown: names in backticks, such as `slim.conv2d`, lead to the reference."""

import re
from xml.etree.ElementTree import Element

import markdown
from markdown.treeprocessors import Treeprocessor

from docs.site import public

_NAME = re.compile(r"j?slim((?:\.\w+)+)(?:\(.*\))?", re.DOTALL)
_PLAIN = {"a", "pre", "h1", "h2", "h3", "h4", "h5", "h6"}  # no links in them


class _Links(Treeprocessor):
    def run(self, root: Element) -> None:
        for place, child in enumerate(root):
            if child.tag in _PLAIN:
                continue
            found = _NAME.fullmatch(child.text or "") if child.tag == "code" else None
            if found is None or f"jslim{found[1]}" not in public.paths():
                self.run(child)
                continue
            # mkdocs-autorefs makes links of such elements.
            link = Element("autoref", identifier=f"jslim{found[1]}")
            link.tail, child.tail = child.tail, None
            link.append(child)
            root[place] = link


class NameLinks(markdown.Extension):
    """Makes the links, after inline code has been found."""

    def extendMarkdown(self, md: markdown.Markdown) -> None:
        md.treeprocessors.register(_Links(md), "name_links", priority=15)


def makeExtension(**options: object) -> NameLinks:
    return NameLinks(**options)
