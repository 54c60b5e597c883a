"""tf.train.Example: items equal TF-Slim's on TensorFlow's files; errors name the example."""

import pathlib
import sys

import numpy as np
import pytest

from jslim.core.errors import DataError
from jslim.data import tf_example, tfexample_decoder
from jslim.data.tf_example import (
    FixedLenFeature,
    FixedLenSequenceFeature,
    VarLenFeature,
    make_example,
    parse_example,
)
from jslim.data.tfexample_decoder import (
    BackupHandler,
    BoundingBox,
    BoundingBoxSequence,
    Image,
    KeypointsSequence,
    LookupTensor,
    NumBoxesSequence,
    SparseTensor,
    Tensor,
    TFExampleDecoder,
    TFSequenceExampleDecoder,
)
from jslim.data.tfrecord import read_records

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"
sys.path.insert(0, str(GOLDEN))
from tfexample_cases import decoders, sequence_decoders  # noqa: E402

EXAMPLES = list(read_records(GOLDEN / "tfrecords" / "plain.tfrecord"))
TYPES = {"bytes": bytes, "int64": np.int64, "float32": np.float32}
DECODERS = decoders(tfexample_decoder, tf_example, TYPES)
SEQUENCE_DECODERS = sequence_decoders(tfexample_decoder, tf_example, TYPES)
(SEQUENCE,) = read_records(GOLDEN / "tfrecords" / "sequence.tfrecord")


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
@pytest.mark.parametrize("case", DECODERS)
def test_items_equal_those_of_tf_slim(case, number):
    decoder = TFExampleDecoder(*DECODERS[case])
    items = decoder.list_items()
    with np.load(GOLDEN / "tfrecords" / "decoded.npz") as golden:
        for item, found in zip(items, decoder.decode(EXAMPLES[number]), strict=True):
            wanted = golden[f"{case}/{number}/{item}"]
            assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
            # A PNG in colours has no stored brightness; TensorFlow computes it by other weights.
            atol = 3 if case == "grey" and number == 1 else 0
            np.testing.assert_allclose(
                found.astype(np.float64), wanted.astype(np.float64), rtol=0, atol=atol
            )


def test_the_golden_file_has_every_case():
    with np.load(GOLDEN / "tfrecords" / "decoded.npz") as golden:
        assert {name.partition("/")[0] for name in golden.files} == {
            *DECODERS,
            *SEQUENCE_DECODERS,
        }


@pytest.mark.parametrize("case", SEQUENCE_DECODERS)
def test_items_of_sequences_equal_those_of_tf_slim(case):
    decoder = TFSequenceExampleDecoder(*SEQUENCE_DECODERS[case])
    items = decoder.list_items()
    with np.load(GOLDEN / "tfrecords" / "decoded.npz") as golden:
        for item, found in zip(items, decoder.decode(SEQUENCE), strict=True):
            wanted = golden[f"{case}/0/{item}"]
            assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
            np.testing.assert_array_equal(found, wanted)


def test_sparse_boxes_are_those_that_are_there():
    features = SEQUENCE_DECODERS["box_sequence"][1]
    handlers = {
        "dense": BoundingBoxSequence(prefix="box/"),
        "sparse": BoundingBoxSequence(prefix="box/", return_dense=False),
    }
    dense, sparse = TFSequenceExampleDecoder({}, features, handlers).decode(SEQUENCE)
    filled = np.full(sparse.dense_shape, -1, np.float32)
    filled[tuple(sparse.indices.T)] = sparse.values
    np.testing.assert_array_equal(filled, dense)
    assert len(sparse.values) == 5 * 4


def test_sequences_that_do_not_fit_are_named():
    box = SEQUENCE_DECODERS["box_sequence"][1]
    one = {"ids": FixedLenSequenceFeature([2], np.int64), "box/ymin": VarLenFeature(np.float32)}
    cases = [
        ({"idz": FixedLenSequenceFeature([2], np.int64)}, Tensor("idz"),
         "^x:7 has no feature 'idz'; it has box/xmax, .* did you mean 'ids'"),
        ({"ids": FixedLenSequenceFeature([3], np.int64)}, Tensor("ids"),
         r"^feature 'ids' of x:7 has 2 values, and shape \(3,\) is wanted"),
        ({"ids": VarLenFeature(np.float32)}, Tensor("ids"), "'ids' of x:7 is int64, and float"),
        (box | {"none": VarLenFeature(np.float32)}, NumBoxesSequence(["box/ymin", "none"]),
         r"^x:7: the numbers of boxes at each step are not the same: \{'box/ymin': \[2, 0, 3\]"),
        (box | {"none": VarLenFeature(np.float32)}, KeypointsSequence(["box/ymin", "none"]),
         r"^x:7: features must have as many steps and values as each other: \{'box/ymin'"),
    ]  # fmt: skip
    for features, handler, message in cases:
        decoder = TFSequenceExampleDecoder({}, features, {"item": handler})
        with pytest.raises(DataError, match=message):
            decoder.decode(SEQUENCE, record_key="x:7")
    with pytest.raises(DataError, match=r"^x:7 is no tf\.train\.SequenceExample"):
        TFSequenceExampleDecoder({}, one, {}).decode(b"no message", record_key="x:7")
    for make, message in (
        (lambda: BoundingBoxSequence(["a"]), "BoundingBoxSequence expects 4 keys but got 1"),
        (lambda: KeypointsSequence(["a"]), "KeypointsSequence expects 2 keys but got 1"),
        (lambda: NumBoxesSequence(), "keys must not be empty"),
        (
            lambda: TFSequenceExampleDecoder({"ids": VarLenFeature(np.int64)}, one, {}),
            r"these features are of the context and of the sequences: \['ids'\]",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            make()


def test_values_of_every_kind_come_back():
    given = {
        "text": "größe", "bytes": b"\0\xff", "several": [b"a", b""], "int": -(2**63),
        "ints": [2**63 - 1, 0], "float": 0.1, "floats": np.float32([1, np.inf]),
        "mixed": [1, 2.5], "bool": True, "array": np.arange(4, dtype=np.int32).reshape(2, 2),
    }  # fmt: skip
    kinds = {"text": bytes, "bytes": bytes, "several": bytes}
    kinds |= {"float": np.float32, "floats": np.float32, "mixed": np.float32}
    features = {name: VarLenFeature(kinds.get(name, np.int64)) for name in given}
    found = parse_example(make_example(given), features)
    assert found["text"].tolist() == ["größe".encode()]
    assert found["several"].tolist() == [b"a", b""]
    assert found["int"].tolist() == [-(2**63)]
    assert found["ints"].tolist() == [2**63 - 1, 0]
    assert found["floats"].tolist() == [1, np.inf]
    assert found["float"].tolist() == [np.float32(0.1)]
    assert found["mixed"].tolist() == [1, 2.5]
    assert found["bool"].tolist() == [1]
    assert found["array"].tolist() == [0, 1, 2, 3]


def test_values_are_looked_up():
    class Doubled:
        def lookup(self, array):
            return 2 * array

    example = make_example({"x": [1, 3], "name": ["cat"]})
    features = {"x": VarLenFeature(np.int64), "name": FixedLenFeature([], bytes)}
    handlers = {
        "by_mapping": LookupTensor("x", {1: "one", 3: "three"}),
        "by_table": LookupTensor("x", Doubled()),
        "by_text": LookupTensor("name", {"cat": 7}),
    }
    by_mapping, by_table, by_text = TFExampleDecoder(features, handlers).decode(example)
    assert by_mapping.tolist() == ["one", "three"]
    assert by_table.tolist() == [2, 6]
    assert by_text == 7
    decoder = TFExampleDecoder(features, {"name": LookupTensor("name", {"cap": 7})})
    with pytest.raises(DataError, match=r"'name' is 'cat', which the table does not have; did you"):
        decoder.decode(example)


def test_sparse_vectors():
    example = make_example({"indices": [1, 4], "values": [0.5, 2.0]})
    features = {"indices": VarLenFeature(np.int64), "values": VarLenFeature(np.float32)}
    (sparse,) = TFExampleDecoder(features, {"x": SparseTensor(shape=[5])}).decode(example)
    assert sparse.indices.tolist() == [[1], [4]]
    assert sparse.values.tolist() == [0.5, 2]
    assert list(sparse.dense_shape) == [5]


ENCODED = {"image/encoded": FixedLenFeature([], bytes), "image/format": FixedLenFeature([], bytes)}
WRONG = {
    "missing": (
        {"a": 1, "lable": 2}, {"label": FixedLenFeature([], np.int64)}, Tensor("label"),
        r"^x:7 has no feature 'label'; it has a, lable; did you mean 'lable'\?",
    ),
    "type": (
        {"label": 1.5}, {"label": FixedLenFeature([], np.int64)}, Tensor("label"),
        r"^feature 'label' of x:7 is float32, and int64 is wanted; correct",
    ),
    "size": (
        {"label": [1, 2]}, {"label": FixedLenFeature([], np.int64)}, Tensor("label"),
        r"^feature 'label' of x:7 has 2 values, and shape \(\) is wanted; use VarLenFeature",
    ),
    "shape": (
        {"x": [1, 2]}, {"x": VarLenFeature(np.int64)}, Tensor("x", shape=[3]),
        r"^x:7: feature 'x' has 2 values, which cannot have shape \[3\]",
    ),
    "sides": (
        {"ymin": [1.0], "xmin": [1.0, 2.0], "ymax": [1.0], "xmax": [1.0]},
        {side: VarLenFeature(np.float32) for side in ("ymin", "xmin", "ymax", "xmax")},
        BoundingBox(), r"^x:7: the sides of the boxes are not equally many: \{'ymin': 1, 'xmin': 2",
    ),
    "sparse_sizes": (
        {"indices": [1], "values": [1, 2]},
        {"indices": VarLenFeature(np.int64), "values": VarLenFeature(np.int64)},
        SparseTensor(), "^x:7: feature 'indices' has 1 indices for 2 values of 'values'",
    ),
    "sparse_range": (
        {"indices": [1, 5], "values": [1, 2]},
        {"indices": VarLenFeature(np.int64), "values": VarLenFeature(np.int64)},
        SparseTensor(shape=[5], densify=True), r"has an index outside 0 to 4: \[1, 5\]",
    ),
    "sparse_size": (
        {"indices": [1], "values": [1]},
        {"indices": VarLenFeature(np.int64), "values": VarLenFeature(np.int64)},
        SparseTensor(shape=[1 << 40], densify=True), r"cannot be made dense in the shape \[1099511",
    ),
    "sparse_order": (
        {"indices": [3, 1], "values": [1, 2]},
        {"indices": VarLenFeature(np.int64), "values": VarLenFeature(np.int64)},
        SparseTensor(shape=[5], densify=True), r"must have rising indices, got \[3, 1\]",
    ),
    "no_image": (
        {"image/encoded": b"text", "image/format": b"jpeg"}, ENCODED, Image(),
        "^x:7: image 'image/encoded' cannot be decoded",
    ),
    "raw_size": (
        {"image/encoded": b"abcde", "image/format": b"raw"}, ENCODED,
        Image(shape=[2, 2, 1], dtype=np.uint16), "has 5 bytes, which are no whole number of uint16",
    ),
    "several_images": (
        {"image/encoded": [b"a", b"b"], "image/format": b"raw"},
        {"image/encoded": VarLenFeature(bytes), "image/format": FixedLenFeature([], bytes)},
        Image(), r"has 2 images; one is wanted \(or repeated=True\)",
    ),
    "image_shapes": (
        {"image/encoded": [b"a", b"bc"], "image/format": b"raw"},
        {"image/encoded": VarLenFeature(bytes), "image/format": FixedLenFeature([], bytes)},
        Image(repeated=True), r"images that must have one shape, got \[\(1,\), \(2,\)\]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_an_example_that_does_not_fit_is_named(case):
    held, features, handler, message = WRONG[case]
    decoder = TFExampleDecoder(features, {"item": handler})
    with pytest.raises(DataError, match=message):
        decoder.decode(make_example(held), record_key="x:7")


def test_what_is_no_example_is_named():
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match=r"^x:7 is no tf\.train\.Example"):
        parse_example(b"no message", {}, "x:7")
    # Damage gives this error or an example with other values, and nothing else.
    whole = np.frombuffer(EXAMPLES[0], np.uint8)
    decoder = TFExampleDecoder(*DECODERS["sparse"])
    failed = 0
    for _ in range(2000):
        damaged = whole.copy()
        damaged[rng.integers(whole.size, size=3)] = rng.integers(256, size=3)
        try:
            decoder.decode(damaged.tobytes()[: rng.integers(whole.size + 1)])
        except DataError:
            failed += 1
    assert failed > 1000


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BoundingBox(["a"]), "BoundingBox expects 4 keys but got 1"),
        (lambda: Tensor("a", shape_keys="b", shape=[1]), "Cannot specify both shape_keys and shap"),
        (lambda: BackupHandler(3, Tensor("a")), "Primary handler is of type <class 'int'> instead"),
        (lambda: BackupHandler(Tensor("a"), 3), "Backup handler is of type <class 'int'> instead"),
        (
            lambda: TFExampleDecoder({"label": VarLenFeature(bytes)}, {"x": Tensor("labl")}),
            "item 'x' needs the feature 'labl', which is not among those that are parsed; did",
        ),
        (
            lambda: TFExampleDecoder({}, {"image": ImageLike()}).decode(b"", ["imago"]),
            r"there is no item 'imago'; did you mean 'image'\? \(there are image\)",
        ),
        (
            lambda: parse_example(make_example({"a": 1}), {"a": VarLenFeature(np.float64)}),
            "the dtype of a feature must be bytes, float32 or int64, got",
        ),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_an_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()
    with pytest.raises(TypeError, match="feature 'a' must be bytes, text, integers or floats"):
        make_example({"a": [None]})


class ImageLike(tfexample_decoder.ItemHandler):
    def __init__(self):
        super().__init__([])

    def tensors_to_item(self, keys_to_tensors):
        return None


def test_the_pool_of_messages_is_private():
    """TensorFlow, in the same process, has messages of its own under other full names."""
    from google.protobuf import descriptor_pool

    assert tf_example.message_class().DESCRIPTOR.full_name == "jslim.data.Example"
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("jslim.data.Example")
