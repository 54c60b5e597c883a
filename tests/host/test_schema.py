"""JSON of others: its limits, and the types of its values."""

from typing import Annotated, Any, NamedTuple, TypedDict

import pytest

from jslim.checkpoints.contract import checked
from jslim.host.schema import Between, Invalid, conform, parse_json, read_json


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 100_000, "its lists and objects are nested more than 64 deep"),
        (b"[" * 100_000 + b"]" * 100_000, "its lists and objects are nested more than 64 deep"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "its lists and objects are nested more than 64 deep"),
        (b'["\xff"]', "it is not UTF-8: invalid start byte at byte 2"),
        (b'["\\ud800"]', "it has half a surrogate pair, which is no text"),
        (b"{", "it is no JSON: Expecting property name"),
        (b"", "it is no JSON: Expecting value"),
        (b"9" * 5000, "it is no JSON: Exceeds the limit"),
        (
            b" " * ((1 << 24) + 1),
            "it has 16777217 bytes, more than the limit of 16777216; JSLIM_MA",
        ),
        (b"[" + b"[]," * (1 << 20), "its values count as 33554448 bytes, more than the limit of 1"),
    ],
)
def test_what_is_no_json_or_too_much(content, message):
    with pytest.raises(Invalid) as error:
        parse_json(content)
    assert str(error.value).startswith(message)


def test_what_is_json(tmp_path):
    assert parse_json(b'{"a": "\\ud83d\\ude00"}') == {"a": "😀"}
    assert parse_json(b"[" * 64 + b"]" * 64)
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(tmp_path / "a.json") == [1]


class Leaf(NamedTuple):
    name: str
    shape: tuple[Annotated[int, Between(0, 9)], ...]
    more: str | None = None


class Document(TypedDict, total=False):
    count: int
    leaves: Annotated[list[Leaf], Between(1, 2)]
    rate: float
    sizes: dict[str, int]


def test_values_of_their_types():
    found: Any = conform({"leaves": [{"name": "a", "shape": [1], "z": 0}], "other": [0]}, Document)
    assert found == {"leaves": [Leaf("a", (1,))], "other": [0]}
    assert conform({"rate": 1, "sizes": {"a": 2}}, Document) == {"rate": 1, "sizes": {"a": 2}}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "must be an object, got []"),
        ({"count": True}, "count must be a whole number, got True"),
        ({"count": 1.0}, "count must be a whole number, got 1.0"),
        ({"count": 1 << 63}, "count must be a whole number of 64 bits, got one of more"),
        ({"rate": float("nan")}, "rate must be a finite number, got nan"),
        ({"rate": None}, "rate must be a number, got None"),
        ({"leaves": []}, "leaves must have a length from 1 to 2, got 0"),
        ({"leaves": [{"name": "a"}]}, "leaves[0].shape is missing"),
        ({"leaves": [{"name": 1, "shape": []}]}, "leaves[0].name must be a text, got 1"),
        (
            {"leaves": [{"name": "a", "shape": [1, 12]}]},
            "leaves[0].shape[1] must be from 0 to 9, go",
        ),
        ({"sizes": {"\x1b": "x"}}, "sizes['\\x1b'] must be a whole number, got 'x'"),
    ],
)
def test_values_of_other_types(document, message):
    with pytest.raises(Invalid) as error:
        conform(document, Document)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("contract", "message"),
    [
        ([], "contract must be an object, got []"),
        (
            {"num_classes": 10**10},
            "contract has 10000000000 classes, more than the limit of",
        ),
        ({"num_classes": "ten"}, "contract.num_classes must be a whole number, got 'ten'"),
        ({"class_names": ["a", 1]}, "contract.class_names[1] must be a text, got 1"),
        ({"class_names": ["a"], "num_classes": 2}, "contract has 1 class_names for num_classes 2"),
        ({"image_size": 1 << 40}, "contract.image_size must be from 1 to 65536, got 1099511627776"),
        ({"model_name": None}, "contract.model_name must be a text, got None"),
    ],
)
def test_contracts(contract, message):
    assert checked({"mine": [1], "num_classes": 3}) == {"mine": [1], "num_classes": 3}
    with pytest.raises(Invalid) as error:
        checked(contract)
    assert str(error.value).startswith(message)
