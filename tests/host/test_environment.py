"""The variables of the environment."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]


def test_each_variable_is_documented():
    code = "".join(path.read_text() for path in (ROOT / "jslim").rglob("*.py"))
    read = set(re.findall(r'environ(?:\.get\(|\[)"(\w+)"', code))
    read |= set(re.findall(r'Limit\("(JSLIM_MAX_\w+)"', code)) - {"JSLIM_MAX_EXAMPLE"}
    documented = set(re.findall(r"`(\w+)[`=]", (ROOT / "docs" / "environment.md").read_text()))
    assert {"JSLIM_TRACEBACK", "JSLIM_MAX_CLASSES", "JAX_PLATFORMS"} <= read
    assert read - documented == set()
