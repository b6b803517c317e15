"""The names that TensorFlow 2 gave its variables, which its checkpoints keep beside the objects that hold them.

Source: tensorflow/core/protobuf/trackable_object_graph.proto at v2.1.0.
"""

from __future__ import annotations

import re
from collections import Counter

from quadgate.formats.protobuf import Buffer, fields, message, text
from quadgate.formats.tensorflow_checkpoint.tensors import Contents, checked_name

OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"
SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"


def named_by_objects(contents: Contents, graph: Buffer, place: str) -> None:
    """Give variables the names that the graph of objects tells; one that is told twice keeps its key.

    Raises:
        FileFormatError: the graph is damaged.
    """
    told: dict[str, str] = {}
    for index, node in fields(graph, place):
        if index != 1:
            continue
        for inner, attribute in fields(message(node, place), place):
            if inner == 2:
                parts = dict(fields(message(attribute, place), place))
                key, name = text(parts.get(3, b""), place), text(parts.get(2, b""), place)
                if key in contents.tensors and name:
                    told[key] = checked_name(name, place)
    times = Counter(told.values())
    order = sorted(contents.tensors, key=lambda key: [part.zfill(12) for part in re.split(r"(\d+)", key)])
    contents.tensors = {
        told[key] if times[told.get(key, "")] == 1 else key.removesuffix(SUFFIX): contents.tensors[key] for key in order
    }
    contents.unread = {key: reason for key, reason in contents.unread.items() if key != OBJECTS}
    contents.objects = True
