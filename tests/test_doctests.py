"""The examples in docstrings print what they say."""

import doctest
import importlib
import inspect
import pathlib
import re

import jax
import pytest

ROOT = pathlib.Path(__file__).parent.parent
EXAMPLE = re.compile(r"^\s*>>> ", re.MULTILINE)
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "jslim").rglob("*.py"))
    if EXAMPLE.search(path.read_text())
}


class Finder(doctest.DocTestFinder):
    """Also finds the examples of functions that another module's decorator has wrapped."""

    def _from_module(self, module, object):
        return super()._from_module(module, inspect.unwrap(object))


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name):
    found = Finder().find(importlib.import_module(name))
    num_written = len(EXAMPLE.findall(MODULES[name].read_text()))
    assert sum(len(test.examples) for test in found) >= num_written, "some examples are not found"
    runner = doctest.DocTestRunner(verbose=False)
    failures: list[str] = []
    # JAX's defaults, which users have; those of the other tests are stricter.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for test in found:
            runner.run(test, out=failures.append)
    if failures:
        pytest.fail("".join(failures), pytrace=False)
