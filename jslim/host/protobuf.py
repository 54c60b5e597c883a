"""Protocol buffers of TensorFlow's files, declared in a text and read by the package protobuf.

    _MESSAGES = '''
    package jslim.example;
    message Point { repeated int64 axis = 1; string name = 2; }
    '''
    point = messages(_MESSAGES)['Point'].FromString(content)

The text is a part of the language of `.proto` files, version 3: fields, maps from strings, and the
label `oneof` for the fields of the group `kind`, of which a message has at most one. The messages
are in pools of their own, so that TensorFlow can run in the same process. The package comes with
Orbax, and is imported when the first message is read.
"""

import functools
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto

_NUMBERS_AND_TEXTS = ("bytes", "fixed32", "float", "int64", "string", "uint64")
_PACKAGE = re.compile(r"package ([\w.]+);")
_MESSAGE = re.compile(r"message (\w+) \{(.*?)\}", re.DOTALL)
_FIELD = re.compile(r"(?:(repeated|oneof) )?(?:map<string, (\w+)>|(\w+)) (\w+) = (\d+);")


class Malformed(ValueError):
    """The bytes are no message of their kind."""


@functools.cache
def messages(schema: str) -> dict[str, Any]:
    """The classes of the messages in a text, by name.

    >>> schema = "package jslim.doc; message Point { repeated int64 axis = 1; }"
    >>> point = messages(schema)["Point"](axis=[3, 4])
    >>> messages(schema)["Point"].FromString(point.SerializeToString()).axis
    [3, 4]
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    (package,) = _PACKAGE.findall(schema)
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto", package=package, syntax="proto3"
    )
    for name, body in _MESSAGE.findall(schema):
        message = file.message_type.add(name=name)
        for label, value, kind, field, number in _FIELD.findall(body):
            added = _add_field(message, field, int(number), kind or f"{name}.{field}")
            if value:  # a map is a repeated message of a key and a value
                entry = message.nested_type.add(name=field)
                entry.options.map_entry = True
                _add_field(entry, "key", 1, "string")
                _add_field(entry, "value", 2, value)
            if label == "oneof":
                added.oneof_index = 0
                if not message.oneof_decl:
                    message.oneof_decl.add(name="kind")
            elif label or value:
                added.label = added.LABEL_REPEATED
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    described = (pool.FindMessageTypeByName(f"{package}.{m.name}") for m in file.message_type)
    return {one.name: message_factory.GetMessageClass(one) for one in described}


def parsed(message: Any, content: bytes) -> Any:
    """The message in the bytes.

    Args:
      message: A class from `messages`.
      content: The bytes.

    Raises:
      Malformed: They are no such message.
    """
    from google.protobuf.message import DecodeError

    try:
        return message.FromString(content)
    except DecodeError as error:
        raise Malformed(str(error)) from error


def _add_field(
    message: "DescriptorProto", name: str, number: int, kind: str
) -> "FieldDescriptorProto":
    field = message.field.add(name=name, number=number)
    field.label = field.LABEL_OPTIONAL
    if kind in _NUMBERS_AND_TEXTS:
        field.type = field.Type.Value(f"TYPE_{kind.upper()}")
    else:
        field.type, field.type_name = field.TYPE_MESSAGE, kind
    return field
