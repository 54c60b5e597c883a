"""The files that commands take and write, in a bucket: the same as on this machine."""

import io

import numpy as np
import pytest
from PIL import Image

from jslim.cli import flagfiles, plot, preview, reports, run_config
from jslim.cli.flags import UsageError
from jslim.cli.reports import open_table
from jslim.data.labels import read_class_names
from jslim.host import files


def content(url):
    with files.open_regular(url) as file:
        return file.read()


def test_pictures_are_those_that_are_written_here(store, tmp_path):
    matrix = np.array([[3, 1], [0, 5]])
    images = np.random.default_rng(0).random((3, 8, 8, 3))
    curves = {"loss": {"run": [(1, 2.0), (2, 1.0)]}}
    writers = {
        "matrix.png": lambda path: reports.save_matrix_image(path, matrix, ["cat", "dog"]),
        "sheet.png": lambda path: preview.save_contact_sheet(path, images, ["a", "b", "c"]),
    }
    for name, write in writers.items():
        write(store(f"new/{name}"))
        write(str(tmp_path / "new" / name))
        assert content(store(f"new/{name}")) == (tmp_path / "new" / name).read_bytes()
    pytest.importorskip("matplotlib")
    for place in (store("curves.png"), str(tmp_path / "curves.png")):
        plot.draw(place, curves)
        with Image.open(io.BytesIO(content(place))) as picture:
            assert picture.format == "PNG"


@pytest.mark.parametrize("end", ["csv", "jsonl"])
def test_tables_are_those_that_are_written_here(store, tmp_path, end):
    for place in (store(f"a.{end}"), str(tmp_path / f"a.{end}")):
        reports.write_predictions(
            place, ["ä", "b\udcff"], ["cat", "dog"], np.array([[1.0, 2], [3, 0]]), np.array([1, 1])
        )
    assert content(store(f"a.{end}")) == (tmp_path / f"a.{end}").read_bytes()
    with pytest.raises(KeyError), open_table(store(f"b.{end}")) as file:  # noqa: PT012
        file.write("half")
        raise KeyError
    assert not files.exists(store(f"b.{end}"))


def test_flags_and_names_are_read(store):
    files.write_text(store("flags"), "--batch_size=7\n# no\n")
    assert flagfiles.expanded([f"--flagfile={store('flags')}", "--x"]) == ["--batch_size=7", "--x"]
    with pytest.raises(UsageError, match=r"'.*/none' cannot be read: No such file or directory"):
        flagfiles.expanded([f"--flagfile={store('none')}"])
    files.write_text(store("names"), "cat\ndog\n")
    assert read_class_names(store("names")) == ["cat", "dog"]


def test_the_flags_of_a_run_are_read(store):
    text = '{"format": 1, "flags": {"batch_size": 7}, "given": [], "starts": []}'
    files.write_text(store("run/config.json"), text)
    for place in (store("run"), store("run/config.json")):
        assert run_config.read(place).flags == {"batch_size": 7}
    assert run_config.read(store("none")) is None
    files.write_text(store("run/config.json"), text[:-2])
    with pytest.raises(UsageError, match="does not hold the flags of a run, or is damaged"):
        run_config.read(store("run"))


def test_names_tell_runs_apart_here_and_there(store, tmp_path):
    assert plot._names([store("a"), store("b")]) == ["a", "b"]
    assert plot._names([store("a"), str(tmp_path / "a")])[0].endswith("/a")
