"""Reads weights out of an ONNX graph, under the names that they had in PyTorch.

An ONNX file is a protocol buffer: `ModelProto.graph` (7) holds `node` (1) and `initializer` (5). Vectors keep their
names there. The matrices of linear layers are anonymous and transposed; whose they are says the bias that is added to
their product. Only tensors in single precision are read. Nothing in the file is run.
"""

from array import array

from .safetensors import Damaged

FLOAT = 1  # the type of tensors in single precision


def varint(data, at):
    """An integer of seven bits a byte, and where it ends."""
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise Damaged("it ends in the middle of a number")


def fields(data):
    """Numbers and contents of a message's fields: integers, or views of bytes."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        else:
            size = {1: 8, 5: 4}.get(key & 7)
            if size is None:
                size, at = varint(data, at)
            value, at = data[at:at + size], at + size
            if at > len(data):
                raise Damaged("it ends in the middle of a field")
        yield key >> 3, value


def every(message, number):
    return [value for key, value in fields(message) if key == number]


def integers(message, number):
    """A repeated integer, one by one or packed."""
    found = []
    for value in every(message, number):
        at = 0
        if isinstance(value, int):
            found.append(value)
            continue
        while at < len(value):
            one, at = varint(value, at)
            found.append(one)
    return found


def names(message, number):
    return [bytes(value).decode() for value in every(message, number)]


def turned(tensor):
    """A matrix with rows and columns exchanged."""
    (rows, columns), raw = tensor
    numbers, other = array("f", raw), array("f")
    for column in range(columns):
        other.extend(numbers[column::columns])
    return [columns, rows], other.tobytes()


def read(data):
    """`name: (dims, bytes)` of every tensor; the matrices of linear layers beside their biases."""
    try:
        (graph,) = every(memoryview(data), 7)
    except ValueError:
        raise Damaged("it holds no graph") from None
    tensors, added, products = {}, {}, []
    for message in every(graph, 5):
        found = dict(fields(message))
        if found.get(2) == FLOAT:
            tensors[bytes(found[8]).decode()] = integers(message, 1), bytes(found.get(9, b""))
    for message in every(graph, 1):
        (operation,), inputs = names(message, 4), names(message, 1)
        if operation == "MatMul" and inputs[1] in tensors:
            products.append((names(message, 2)[0], inputs[1]))
        elif operation == "Add":
            added |= {other: one for one, other in (inputs, inputs[::-1]) if one in tensors}
    for product, factor in products:
        bias = added.get(product, "")
        if bias.endswith(".bias"):
            tensors[bias.removesuffix("bias") + "weight"] = turned(tensors.pop(factor))
    return tensors
