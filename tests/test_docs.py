"""The documents: their code runs and prints what they say, and what they name exists."""

import ast
import contextlib
import doctest
import inspect
import io
import itertools
import os
import re
import shlex
import subprocess
import sys

import jax
import links
import pytest
from documents import Block, blocks, code_in, prose, tables
from links import ROOT

import jslim
from jslim.cli.commands import COMMANDS, config_class
from jslim.cli.flags import DROPPED, flag_values, flags_of

TUTORIAL, MIGRATION, README = "docs/tutorial.md", "docs/migration.md", "README.md"
TROUBLESHOOTING = "docs/troubleshooting.md"
HOW_TO = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/howto/*.md"))


def printed_by_commands(text: str) -> str:
    """What the commands of a block print. The programs are those of this environment."""
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-e"], input=text, env=os.environ | {"PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{text}{done.stderr}"
    lines = done.stdout.splitlines(keepends=True)
    # The collectives of a CPU print a line for each connection.
    return "".join(line for line in lines if "[Gloo]" not in line)


@pytest.mark.long
@pytest.mark.parametrize("document", [README, TUTORIAL, MIGRATION, *HOW_TO])
def test_document_code_prints_what_the_document_says(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # JAX's defaults, which users have; those of the other tests are stricter.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        run(document)


def run(document: str) -> None:
    """Runs the code of a document from top to bottom, and compares what it prints."""
    namespace: dict = {}
    found = blocks(document)
    outputs = [block for block in found if block.language == "text"]
    for block, following in itertools.pairwise([*found, Block("", "", 0, 0)]):
        printed = io.StringIO()
        if block.language == "python":
            # Blank lines before it give the code the line numbers of the document.
            source = "\n" * (block.first_line - 1) + block.text
            with contextlib.redirect_stdout(printed):
                exec(compile(source, document, "exec"), namespace)
        elif block.language == "console" and document in HOW_TO:
            printed.write(printed_by_commands(block.text))
        else:
            continue
        # The output is the text block that follows with one empty line between.
        expected = ""
        if following.language == "text" and following.first_line == block.last_line + 4:
            expected = following.text
            outputs.remove(following)
        checker = doctest.OutputChecker()
        assert checker.check_output(expected, printed.getvalue(), doctest.ELLIPSIS), (
            f"{document}:{block.first_line}: printed\n{printed.getvalue()}and not\n{expected}"
        )
    assert outputs == []


# What stands for an object of which class in the documents.
INSTANCES = {
    "model": jslim.Model,
    "metric": jslim.metrics.Metric,
    "train_op": jslim.learning.TrainOp,
    "state": jslim.learning.TrainState,
}


def jslim_code(document: str) -> list[str]:
    """The snippets of code that speak of jslim: in migration.md, one column of the tables."""
    if document != MIGRATION:
        return code_in("\n".join(prose(document)))
    cells = [
        row[header.index("jslim")]
        for header, rows in tables(document)
        if header == ["TF-Slim", "jslim"]
        for row in rows
    ]
    assert len(cells) > 80
    return code_in("\n".join(cells))


def find(name: str) -> object:
    """The object that a dotted name such as `slim.losses.log_loss` or `model.init` stands for."""
    root, *path = name.split(".")
    found = INSTANCES.get(root, jslim)
    for part in path:
        fields = getattr(found, "__dataclass_fields__", {})
        found = fields[part] if part in fields else getattr(found, part)
    return found


@pytest.mark.parametrize("document", [README, TUTORIAL, MIGRATION, TROUBLESHOOTING, *HOW_TO])
def test_documents_name_what_exists(document):
    names = {
        name
        for code in jslim_code(document)
        for name in re.findall(
            rf"(?<![\w/])(?:slim|{'|'.join(INSTANCES)})(?:\.[A-Za-z_]\w*)+", code
        )
    }
    assert len(names) > (0 if document in HOW_TO else 10)
    missing = []
    for name in sorted(names):
        try:
            find(name)
        except AttributeError:
            missing.append(name)
    assert missing == []


def test_migration_calls_pass_arguments_that_exist():
    wrong = []
    num_calls = 0
    for code in jslim_code(MIGRATION):
        try:
            tree = ast.parse(code)
        except SyntaxError:  # The beginning of a with statement, a flag.
            continue
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            name = ast.unparse(call.func)
            if not re.fullmatch(r"slim(\.\w+)+", name):
                continue
            keywords = dict.fromkeys(keyword.arg for keyword in call.keywords)
            num_calls += 1
            try:
                inspect.signature(find(name)).bind(*call.args, **keywords)
            except TypeError as error:
                wrong.append(f"{code}: {error}")
    assert wrong == []
    assert num_calls > 60


def test_migration_lists_exactly_the_dropped_flags():
    (rows,) = [rows for header, rows in tables(MIGRATION) if header[0] == "Dropped"]
    listed = {flag.removeprefix("--") for row in rows for flag in code_in(row[0])}
    assert listed == set(DROPPED)


def test_documents_give_flags_that_the_scripts_have():
    programs = {
        called: config_class(row)
        for name, row in COMMANDS.items()
        for called in (row.script, f"jslim {name}")
    }
    known = {flag.name for config in programs.values() for flag in flags_of(config)}
    for header, rows in tables(MIGRATION):
        if header[0] == "Flag":
            assert {code_in(row[0])[0].removeprefix("--") for row in rows} <= known
    num_commands = 0
    for block in blocks(README):
        for line in block.text.replace("\\\n", " ").splitlines():
            words = shlex.split(line.partition(">")[0]) if block.language == "console" else []
            words = words[1:] if words[:1] == ["python"] else words
            if words[:1] == ["jslim"]:
                words = [" ".join(words[:2]), *words[2:]]
            if words and words[0] in programs:
                files = [word for word in words[1:] if not word.startswith("--")]
                assert flag_values(programs[words[0]])(words)[1:] == files
                assert not files or programs[words[0]].takes_arguments
                num_commands += 1
    assert num_commands == 13
    options = " ".join(code for code in code_in("\n".join(prose(README))) if code[:2] == "--")
    assert set(re.findall(r"--(\w+)", options)) <= known


def test_documents_link_to_what_exists():
    assert {document.name for document in links.DOCUMENTS} >= {"README.md", "tutorial.md"}
    assert [link for document in links.DOCUMENTS for link in links.broken_links(document)] == []


def test_links_that_lead_nowhere_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(links, "ROOT", tmp_path)
    document = tmp_path / "page.md"
    document.write_text(
        "# A title, and `code`\n## Twice\n## Twice\n"
        "[a](#a-title-and-code) [b](page.md#twice-1 'b') [c](https://host/x#y) `[d](none.md)`\n"
        "```\n[e](none.md)\n```\n"
        "[f](none.md) [g](#twice-2)\n"
        "[h]: gone.md\n"
        "`docs/`, `tests/test_NAME.py`\n"
    )
    assert links.broken_links(document) == [
        "page.md:8: there is no 'none.md'",
        "page.md:8: page.md has no heading for #twice-2",
        "page.md:9: there is no 'gone.md'",
        "page.md:10: there is no 'docs/'",
    ]


def test_readme_names_paths_and_make_targets_that_exist():
    paths = [
        path
        for header, rows in tables(README)
        if header[0] == "Path"
        for row in rows
        for path in code_in(row[0])
    ]
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"\bmake (\w+)", "\n".join(block.text for block in blocks(README)))
    assert targets == ["train", "test"]
    assert all(f"\n{target}:" in makefile for target in targets)
