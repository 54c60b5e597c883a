"""The package as others get it: a source archive, and a wheel in an environment of its own."""

import email
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile

import pytest

import jslim
from tests.links import ROOT

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The paths of the source archive and of the wheel that is built from it."""
    pytest.importorskip("build", reason="`make test-all` installs what builds packages")
    directory = tmp_path_factory.mktemp("dist")
    command = ["-m", "build", "--no-isolation", "--outdir", directory, ROOT]
    # The editable install, without it, would stand for the package.
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    (archive,) = directory.glob("*.tar.gz")
    (wheel,) = directory.glob("*.whl")
    return archive, wheel


@pytest.fixture(scope="module")
def metadata(built):
    with zipfile.ZipFile(built[1]) as wheel:
        (path,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(wheel.read(path))


def test_the_wheel_has_the_package_and_nothing_else(built):
    with zipfile.ZipFile(built[1]) as wheel:
        names = wheel.namelist()
    assert {name.split("/")[0] for name in names} == {
        "jslim",
        f"jslim-{jslim.__version__}.dist-info",
    }
    in_checkout = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "jslim").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if name.startswith("jslim/")} == in_checkout
    assert "jslim/py.typed" in in_checkout
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_the_source_archive_has_what_building_and_testing_need(built):
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = ["jslim/__init__.py", "tests/conftest.py", "Makefile", "LICENSE", "constraints.txt"]
    assert names.issuperset(needed)
    assert not {name for name in names if name.startswith((".venv", ".ci", "runs"))}


def test_the_metadata_says_who_what_and_for_which_python(metadata):
    assert metadata["Version"] == jslim.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Author"] == "the jslim developers"
    assert metadata["Requires-Python"] == ">=3.11"
    classifiers = metadata.get_all("Classifier")
    assert "Typing :: Typed" in classifiers
    for minor in (11, 12, 13):
        assert f"Programming Language :: Python :: 3.{minor}" in classifiers


def test_the_readme_renders_where_no_file_lies_beside_it(metadata):
    markdown = pytest.importorskip("readme_renderer.markdown")
    html = markdown.render(metadata.get_payload())
    assert re.search(r"<h1[^>]*>jslim<", html)
    targets = re.findall(r'href="([^"]*)"', html)
    assert targets
    assert [target for target in targets if not target.startswith(("https://", "#"))] == []


def test_the_wheel_works_in_an_environment_of_its_own(built, tmp_path):
    environment = tmp_path / "environment"
    venv.create(environment, symlinks=True, with_pip=True)
    python = environment / "bin" / "python"
    install = ["-m", "pip", "install", "--quiet", "--no-index", "--no-deps", built[1]]
    subprocess.run([python, *install], check=True, capture_output=True)
    # The packages that jslim needs come from here; a path file inside a path is not followed, so
    # that the editable jslim does not.
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "here.pth").write_text(sysconfig.get_path("purelib"))
    program = "import jslim; print(jslim.__file__); print(jslim.nets.lenet.lenet.__name__)"
    done = subprocess.run([python, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == [str(packages / "jslim/__init__.py"), "lenet"], done.stderr
    digits = "--dataset_name=digits --model_name=lenet --max_number_of_steps=2 --batch_size=8"
    done = subprocess.run(
        [environment / "bin/jslim-train", *digits.split(), f"--train_dir={tmp_path / 'run'}"],
        cwd=tmp_path,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/2/meta.json").is_file()
