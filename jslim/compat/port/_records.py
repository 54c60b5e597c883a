"""What is done with one record, from a provider or queue to `tf.train.batch`, as a function.

    image, label = provider.get(['image', 'label'])      def load_record(image, label):
    image = preprocess(image)                                image = preprocess(image)
    images, labels = tf.train.batch(                         return {'image': image, 'label': label}
        [image, label], batch_size=32)
                                                         batches = loaders.batches(
                                                             loaders.items(provider, [...]),
                                                             load_record, batch_size=32)

Only straight-line code of one block is taken; where something is not certain, all stays as it is.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import libcst as cst
import libcst.matchers as m

from jslim.compat.port._flow import flow_of
from jslim.compat.port._names import dotted
from jslim.compat.port._nodes import arg_of, call_of, keywords, plain

LOAD_RECORD = "load_record"
BATCH = {
    "tf.train.batch": ("tensors", "batch_size", "num_threads", "capacity", "enqueue_many"),
    "tf.train.shuffle_batch": (
        "tensors", "batch_size", "capacity", "min_after_dequeue", "num_threads", "seed",
        "enqueue_many",
    ),
}  # fmt: skip
PROVIDER = "dataset_data_provider.DatasetDataProvider"
_KEPT = ("batch_size", "num_threads", "seed", "allow_smaller_final_batch", "dynamic_pad")
_DROPPED = ("capacity", "min_after_dequeue", "shapes", "shared_name", "name")
_QUEUES = {
    "tf.train.slice_input_producer": ("tensor_list", "num_epochs", "shuffle", "seed"),
    "tf.train.string_input_producer": ("string_tensor", "num_epochs", "shuffle", "seed"),
}
READERS = {"tf.TFRecordReader": "records", "tf.WholeFileReader": "files"}

Call = Callable[[cst.BaseExpression], str]  # the full name of what is called, or ''


class Source(NamedTuple):
    """The statement that gives one record, or a queue of them.

    Attributes:
      place: Where it is in its block.
      names: The names that hold the parts of a record; of a queue its own name.
      is_queue: Whether the one name holds all parts.
      records: The call in place of it: `loaders.items(provider, ['image', 'label'])`.
    """

    place: int
    names: Sequence[str]
    is_queue: bool
    records: cst.Call


class Sink(NamedTuple):
    """The statement that makes a batch.

    Attributes:
      place: Where it is in its block.
      line: The statement.
      call: The call of `tf.train.batch`.
      targets: The names that hold what it gives; None if it is returned at once.
      is_one: Whether they are one name that holds all.
    """

    place: int
    line: cst.SimpleStatementLine
    call: cst.Call
    targets: Sequence[str] | None
    is_one: bool


class Segment(NamedTuple):
    """The statements from a record to a batch.

    Attributes:
      source, sink: The first and the last one.
      places: Those between that make the record.
      keys: The names of the arrays of a batch, in the order of the tensors.
      values: Their expressions, for one record.
      is_dict: Whether the batch is a dict in the script too.
    """

    source: Source
    sink: Sink
    places: Sequence[int]
    keys: Sequence[str]
    values: Sequence[cst.BaseExpression]
    is_dict: bool


def sink_of(place: int, line: cst.BaseStatement, call: Call) -> Sink | None:
    """The statement that makes a batch, if it is one."""
    if not isinstance(line, cst.SimpleStatementLine) or len(line.body) != 1:
        return None
    (small,) = line.body
    if isinstance(small, cst.Return) and isinstance(small.value, cst.Call):
        return Sink(place, line, small.value, None, False) if call(small.value) in BATCH else None
    if not isinstance(small, cst.Assign) or len(small.targets) != 1:
        return None
    value, target = small.value, small.targets[0].target
    if not isinstance(value, cst.Call) or call(value) not in BATCH:
        return None
    if isinstance(target, cst.Name):
        return Sink(place, line, value, [target.value], True)
    names = names_of(target)
    return None if names is None else Sink(place, line, value, names, False)


def names_of(target: cst.BaseExpression) -> list[str] | None:
    """The names of `a, b` or `[a, b]`; None for anything else."""
    if not isinstance(target, cst.Tuple | cst.List):
        return None
    names = [part.value.value for part in target.elements if isinstance(part.value, cst.Name)]
    return names if len(names) == len(target.elements) else None


def source_of(
    place: int, line: cst.BaseStatement, call: Call, providers: set[str], reader: str | None
) -> Source | None:
    """The statement that gives one record, if it is one.

    Args:
      place: Where it is in its block.
      line: The statement.
      call: Gives the name of what is called.
      providers: The names that hold a `DatasetDataProvider`.
      reader: The function of `loaders` for the reader of the file; None if it has none or several.
    """
    if not isinstance(line, cst.SimpleStatementLine) or len(line.body) != 1:
        return None
    (small,) = line.body
    if not isinstance(small, cst.Assign) or len(small.targets) != 1:
        return None
    value, target = small.value, small.targets[0].target
    if not isinstance(value, cst.Call) or any(arg.star for arg in value.args):
        return None
    names = names_of(target)
    name = call(value)
    if name in _QUEUES:
        function = reader if name == "tf.train.string_input_producer" else "slices"
        if function is None or (names is not None and function != "slices"):
            return None
        made = _queue(value, _QUEUES[name], f"loaders.{function}")
        if made is None or (names is None and not isinstance(target, cst.Name)):
            return None
        is_queue = names is None
        return Source(place, names or [target.value], is_queue, made)  # type: ignore[attr-defined]
    if not isinstance(value.func, cst.Attribute) or value.func.attr.value != "get":
        return None
    owner = value.func.value
    if (dotted(owner) or "") not in providers or names is None:
        return None
    if len(value.args) != 1 or value.args[0].keyword is not None:
        return None
    args = [arg_of(owner), arg_of(value.args[0].value)]
    return Source(place, names, False, call_of("loaders.items", args))


def _queue(value: cst.Call, params: Sequence[str], function: str) -> cst.Call | None:
    words = {**dict(zip(params, (arg.value for arg in plain(value)), strict=False))}
    if len(plain(value)) > len(params):
        return None
    words |= keywords(value)
    if "tensor_list" in words and not isinstance(words["tensor_list"], cst.List | cst.Tuple):
        return None
    if not set(words) <= {*params, "capacity", "shared_name", "name", "element_shape"}:
        return None
    args = [arg_of(words[params[0]])]
    args += [arg_of(words[word], word) for word in params[1:] if word in words]
    return call_of(function, args)


def segment_of(
    body: Sequence[cst.BaseStatement], source: Source, sink: Sink, after: Sequence[cst.CSTNode]
) -> Segment | None:
    """The statements between; None where it is not certain that they make one record.

    Args:
      body: The statements of a block.
      source, sink: The first and the last one.
      after: The statements that come after the block, in the blocks around it.
    """
    flows = [flow_of(line) for line in body]
    between = range(source.place + 1, sink.place)
    names = set(source.names)
    tainted, places = set(names), set[int]()
    for place in between:
        flow = flows[place]
        if flow.reads & tainted:
            places.add(place)
            tainted |= flow.writes
        else:
            tainted -= flow.writes
    made = _tensors(body, sink, sorted(places))
    if made is None or not set[str]().union(*(flow_of(v).reads for v in made[1])) & tainted:
        return None
    keys, values, is_dict = made
    while True:
        free, written = _free(sorted(places), flows, values, names)
        more = {p for p in between if p not in places and flows[p].writes & free & written}
        if not more:
            break
        places |= more
    if free & written or any(not _can_move(body[place], flows[place]) for place in places):
        return None
    # What is read must not change before the function is called, and no other code needs what it
    # binds.
    seen: set[str] = set()
    for place in between:
        if place in places:
            seen |= flows[place].reads & free
        elif flows[place].writes & seen:
            return None
    bound = set(sink.targets or ())
    for line in (*body[sink.place + 1 :], *after):
        flow = flow_of(line)
        if flow.reads & ((written | names) - bound):
            return None
        bound |= flow.writes
    return None if bound & free else Segment(source, sink, sorted(places), keys, values, is_dict)


def _free(
    places: Sequence[int],
    flows: Sequence,  # type: ignore[type-arg]
    values: Sequence[cst.BaseExpression],
    names: set[str],
) -> tuple[set[str], set[str]]:
    """What statements read of the names around, and what they bind."""
    free, written = set[str](), set[str]()
    for place in places:
        free |= flows[place].reads - written - names
        written |= flows[place].writes
    for value in values:
        free |= flow_of(value).reads - written - names
    return free, written


def _can_move(line: cst.BaseStatement, flow: object) -> bool:
    if isinstance(line, cst.FunctionDef | cst.ClassDef) or flow.leaves:  # type: ignore[attr-defined]
        return False
    return not m.findall(line, m.Import() | m.ImportFrom())


def _tensors(
    body: Sequence[cst.BaseStatement], sink: Sink, places: Sequence[int]
) -> tuple[list[str], list[cst.BaseExpression], bool] | None:
    """The names and expressions of what is batched, and whether it is a dict."""
    words = arguments_of(sink.call, "tf.train.batch")  # the first one is the same in both
    value = words.get("tensors") or words.get("tensor_list")
    if value is None:
        return None
    if isinstance(value, cst.Name):
        value = _display(body, value.value, places) or value
    if isinstance(value, cst.Dict):
        parts = [part for part in value.elements if isinstance(part, cst.DictElement)]
        texts = [part.key for part in parts if isinstance(part.key, cst.SimpleString)]
        if len(texts) != len(value.elements) or not (sink.is_one or sink.targets is None):
            return None
        return [str(t.evaluated_value) for t in texts], [part.value for part in parts], True
    targets = sink.targets
    if isinstance(value, cst.List | cst.Tuple):
        values = [part.value for part in value.elements]
        if any(isinstance(part, cst.StarredElement) for part in value.elements):
            return None
        if targets is not None and len(targets) != len(values):
            return None
        keys = [
            v.value if isinstance(v, cst.Name) else targets[place] if targets else ""
            for place, v in enumerate(values)
        ]
        if len(set(keys)) < len(keys) or not all(keys):
            keys = list(targets or ())
        return (keys, values, False) if len(set(keys)) == len(values) else None
    if isinstance(value, cst.Name) and targets is not None and not sink.is_one:
        # The queue itself: its parts by number.
        items = [cst.parse_expression(f"{value.value}[{i}]") for i in range(len(targets))]
        return (list(targets), items, False) if len(set(targets)) == len(targets) else None
    return None


def _display(
    body: Sequence[cst.BaseStatement], name: str, places: Sequence[int]
) -> cst.BaseExpression | None:
    """The display that a name of a record holds."""
    pattern = m.Assign(targets=[m.AssignTarget(target=m.Name(name))])
    found = [line for place in places for line in m.findall(body[place], pattern)]
    value = found[0].value if len(found) == 1 else None  # type: ignore[attr-defined]
    return value if isinstance(value, cst.List | cst.Tuple | cst.Dict) else None


def arguments_of(value: cst.Call, name: str) -> dict[str, cst.BaseExpression]:
    """The arguments of `tf.train.batch` or `shuffle_batch` by name."""
    given = dict(zip(BATCH[name], (arg.value for arg in plain(value)), strict=False))
    return given | keywords(value)


def call_for(segment: Segment, name: str, batch_fn: str | None) -> cst.Call | None:
    """The call of `loaders.batches`; None where an argument has no counterpart.

    Args:
      segment: What becomes a function.
      name: The full name of what made the batch.
      batch_fn: The name of a function of a batch.
    """
    call = segment.sink.call
    if any(arg.star for arg in call.args) or len(plain(call)) > len(BATCH[name]):
        return None
    words = arguments_of(call, name)
    many = words.pop("enqueue_many", cst.Name("False"))
    unknown = set(words) - {"tensors", "tensor_list", *_KEPT, *_DROPPED}
    if unknown or not m.matches(many, m.Name("False")) or "batch_size" not in words:
        return None
    args = [arg_of(segment.source.records), arg_of(cst.Name(LOAD_RECORD))]
    args += [arg_of(words[word], word) for word in _KEPT if word in words]
    if name == "tf.train.shuffle_batch":
        args.append(arg_of(cst.Name("True"), "shuffle"))
    if batch_fn:
        args.append(arg_of(cst.Name(batch_fn), "batch_fn"))
    return call_of("loaders.batches", args)


def in_lines(call: cst.Call, before: Sequence[str]) -> cst.Call:
    """A call with its arguments in a line of their own, where it is long.

    Args:
      call: The call.
      before: The names of the arguments that end the first line.
    """
    if len(cst.Module([]).code_for_node(call)) < 80:
        return call
    broken = cst.ParenthesizedWhitespace(
        cst.TrailingWhitespace(), indent=True, last_line=cst.SimpleWhitespace("    ")
    )
    comma = cst.Comma(whitespace_after=broken)
    args = [
        arg.with_changes(comma=comma) if dotted(arg.value) in before else arg for arg in call.args
    ]
    return call.with_changes(whitespace_before_args=broken, args=args)


def function_of(
    body: Sequence[cst.BaseStatement], segment: Segment, keys: Sequence[str]
) -> cst.FunctionDef:
    """The function of one record.

    Args:
      body: The statements of the block.
      segment: Which of them it takes.
      keys: Those of the arrays that it returns, in this order.
    """
    chosen = dict(zip(segment.keys, segment.values, strict=True))
    items = [(key, chosen[key]) for key in keys]
    inside = [body[place] for place in segment.places]
    inside.append(cst.SimpleStatementLine([cst.Return(dict_of(items))]))
    params = [cst.Param(cst.Name(name)) for name in segment.source.names]
    given = cst.Parameters(params)
    if segment.source.is_queue:
        given = cst.Parameters(star_arg=params[0].with_changes(star="*"))
    blank = [cst.EmptyLine(indent=False)]
    return cst.FunctionDef(
        cst.Name(LOAD_RECORD), given, cst.IndentedBlock(inside),
        leading_lines=blank, lines_after_decorators=[],
    )  # fmt: skip


def dict_of(items: Sequence[tuple[str, cst.BaseExpression]]) -> cst.Dict:
    """`{'image': image, 'label': label}`."""
    space = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    return cst.Dict([
        cst.DictElement(
            cst.SimpleString(repr(key)), value,
            comma=space if place < len(items) - 1 else cst.MaybeSentinel.DEFAULT,
        )
        for place, (key, value) in enumerate(items)
    ])  # fmt: skip
