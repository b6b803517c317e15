"""A pickle machine that runs nothing.

Python's own unpickler imports what the file names and calls it. This one knows the opcodes, keeps every class that it
does not know as an inert object, and calls only the constructors that its caller hands in. A file that asks for any
other call is refused.

Opcodes are those of Python's `pickletools`, which parses them without running anything.
"""

from __future__ import annotations

import os
import pickletools
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, cast

from quadgate.errors import FileFormatError


@dataclass(frozen=True)
class Global:
    """A name that a pickle refers to, never imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False, repr=False)
class Inert:
    """An instance of a class that is not known: its arguments and its state, and no behaviour."""

    of: Global
    arguments: tuple[Any, ...] = ()
    state: Any = None
    items: list[Any] = field(default_factory=list)
    entries: dict[Any, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<{self.of}>"


Constructors = Mapping[Global, Callable[..., Any]]

_BUILTIN: Constructors = {
    Global("collections", "OrderedDict"): lambda pairs=(): dict(_pairs(pairs)),
    Global("collections", "defaultdict"): lambda *_: {},
    Global("_codecs", "encode"): lambda text, encoding: _encode(text, encoding),
    Global("builtins", "bytes"): lambda: b"",
    Global("builtins", "set"): lambda items=(): {_key(item) for item in items},
    Global("builtins", "frozenset"): lambda items=(): frozenset(_key(item) for item in items),
    Global("builtins", "bytearray"): lambda data=b"": bytes(_expect(data, bytes)),
    Global("builtins", "slice"): lambda *bounds: bounds,
}
_PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_MARK = object()
_SHORT = reprlib.Repr()
_SHORT.maxlevel = 3


def load(
    stream: IO[bytes],
    file: str,
    constructors: Constructors,
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """Read one pickle from `stream` and leave the position behind it.

    Args:
        stream: a seekable binary stream.
        file: how errors name the file.
        constructors: what may be called, by the name that the pickle gives.
        persistent: turns a persistent id into an object.

    Raises:
        FileFormatError: the pickle is damaged, or asks for a call that is not among `constructors`.

    >>> import io, pickle
    >>> load(io.BytesIO(pickle.dumps({"a": (1, 2.5)})), "a.pkl", {})
    {'a': (1, 2.5)}
    >>> load(io.BytesIO(pickle.dumps(print)), "a.pkl", {})
    Global(module='builtins', name='print')
    """
    machine = _Machine({**_BUILTIN, **constructors}, persistent)
    position = 0
    try:
        for opcode, argument, place in pickletools.genops(cast(IO[bytes], _Bounded(stream))):
            position = place or 0
            if opcode.name == "STOP":
                break
            machine.step(opcode.name, argument)
        return machine.result()
    except FileFormatError:
        raise
    except UnicodeDecodeError as error:
        raise FileFormatError(
            f"{file}: the pickle has text near byte {position} that is not {error.encoding}, as Python 2 wrote it; "
            "save it again with Python 3, where pickle.load(file, encoding='latin1') reads it, if you trust it"
        ) from None
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, UnicodeError, AttributeError) as error:
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileFormatError(f"{file}: pickle damaged near byte {position}: {what}") from error
    except _RefusedError as error:
        raise FileFormatError(
            f"{file}: the pickle asks near byte {position} to {error}, which is never done for a file; "
            "save the weights alone (a state dict or safetensors)"
        ) from None


def shown(value: Any) -> str:
    """Return what a pickle holds as a few words, however deep it is nested in itself and however long a number is.

    >>> shown((1, "a" * 100, (2, (3, (4,)))))
    "(1, 'aaaaaaaaaaaa...aaaaaaaaaaaaa', (2, (...)))"
    >>> shown(10**5000)
    'a number of thousands of digits'
    """
    try:
        return _SHORT.repr(value)
    except ValueError:
        return "a number of thousands of digits"


class _Bounded:
    """A stream that is never asked for more than it has: a count in a damaged file must not allocate."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.tell = stream.tell
        self.readline = stream.readline
        position = stream.tell()
        self.size = stream.seek(0, os.SEEK_END)
        stream.seek(position)

    def read(self, size: int) -> bytes:
        return self.stream.read(min(size, self.size - self.stream.tell()))


class _RefusedError(Exception):
    """What the pickle asks for and will not get."""


class _Machine:
    """The stack and the memo of a pickle; `step` carries out one opcode."""

    def __init__(self, constructors: Constructors, persistent: Callable[[Any], Any] | None) -> None:
        self.constructors = constructors
        self.persistent = persistent
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def result(self) -> Any:
        if len(self.stack) != 1:
            raise ValueError(f"{len(self.stack)} objects remain, expected 1")
        return self.stack[0]

    def step(self, opcode: str, argument: Any) -> None:
        stack = self.stack
        if opcode in _VALUES:
            stack.append(argument)
        elif opcode in _CONSTANTS:
            stack.append(_CONSTANTS[opcode])
        elif opcode in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif opcode in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        else:
            handler = getattr(self, f"_{opcode.lower()}", None)
            if handler is None:
                raise _RefusedError(f"use opcode {opcode}")
            handler(argument)

    def _proto(self, _: Any) -> None:
        pass

    _frame = _proto

    def _mark(self, _: Any) -> None:
        self.stack.append(_MARK)

    def _pop(self, _: Any) -> None:
        self.stack.pop()

    def _pop_mark(self, _: Any) -> None:
        self._since_mark()

    def _dup(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def _memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _empty_tuple(self, _: Any) -> None:
        self.stack.append(())

    def _empty_list(self, _: Any) -> None:
        self.stack.append([])

    def _empty_dict(self, _: Any) -> None:
        self.stack.append({})

    def _empty_set(self, _: Any) -> None:
        self.stack.append(set())

    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._since_mark()))

    def _tuple1(self, _: Any) -> None:
        self.stack[-1:] = [tuple(self._top(1))]

    def _tuple2(self, _: Any) -> None:
        self.stack[-2:] = [tuple(self._top(2))]

    def _tuple3(self, _: Any) -> None:
        self.stack[-3:] = [tuple(self._top(3))]

    def _list(self, _: Any) -> None:
        self.stack.append(self._since_mark())

    def _dict(self, _: Any) -> None:
        items = self._since_mark()
        self.stack.append({})
        self._set_items(items)

    def _frozenset(self, _: Any) -> None:
        self.stack.append(frozenset(_key(item) for item in self._since_mark()))

    def _append(self, _: Any) -> None:
        self._extend([self.stack.pop()])

    def _appends(self, _: Any) -> None:
        self._extend(self._since_mark())

    def _setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set_items([key, value])

    def _setitems(self, _: Any) -> None:
        self._set_items(self._since_mark())

    def _additems(self, _: Any) -> None:
        items = self._since_mark()
        _expect(self.stack[-1], set).update(_key(item) for item in items)

    def _global(self, argument: str) -> None:
        module, name = argument.split(" ", 1)
        self.stack.append(_named(module, name))

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(_named(_expect(module, str), _expect(name, str)))

    def _binpersid(self, _: Any) -> None:
        if self.persistent is None:
            raise _RefusedError("resolve a persistent id")
        self.stack.append(self.persistent(self.stack.pop()))

    def _reduce(self, _: Any) -> None:
        arguments, function = _expect(self.stack.pop(), tuple), self.stack.pop()
        if function == Global("copyreg", "_reconstructor"):
            self.stack.append(self._instance(arguments[0], ()))
        elif isinstance(function, Global) and function in self.constructors:
            self.stack.append(self.constructors[function](*arguments))
        else:
            raise _RefusedError(f"call {function if isinstance(function, Global) else type(function).__name__}")

    def _newobj(self, _: Any) -> None:
        arguments, of = _expect(self.stack.pop(), tuple), self.stack.pop()
        self.stack.append(self._instance(of, arguments))

    def _newobj_ex(self, _: Any) -> None:
        self.stack.pop()
        self._newobj(None)

    def _build(self, _: Any) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Inert):
            target.state = state
        elif hasattr(target, "set_state"):
            target.set_state(state)
        elif not isinstance(target, dict):
            raise _RefusedError(f"set the state of a {type(target).__name__}")

    def _instance(self, of: Any, arguments: tuple[Any, ...]) -> Any:
        known = self.constructors.get(_expect(of, Global))
        return known(*arguments) if known else Inert(of, arguments)

    def _since_mark(self) -> list[Any]:
        for index in range(len(self.stack) - 1, -1, -1):
            if self.stack[index] is _MARK:
                items = self.stack[index + 1 :]
                del self.stack[index:]
                return items
        raise ValueError("an opcode needs a mark, none is on the stack")

    def _top(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError("the stack is empty")
        return self.stack[-count:]

    def _extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        _expect(target.items if isinstance(target, Inert) else target, list).extend(items)

    def _set_items(self, items: list[Any]) -> None:
        if len(items) % 2:
            raise ValueError("a key has no value")
        target = self.stack[-1]
        entries = _expect(target.entries if isinstance(target, Inert) else target, dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            entries[_key(key)] = value


def _named(module: str, name: str) -> Global:
    return Global(_PYTHON_2.get(module, module), name)


def _expect(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"found a {type(value).__name__}, expected a {kind.__name__}")
    return value


def _key(value: Any) -> Any:
    """Let only plain keys through: hashing a tuple of tuples of tuples would take for ever."""
    plain = (str, int, float, bytes, type(None), Global, Inert)
    items = value if isinstance(value, tuple) else (value,)
    if any(isinstance(item, int) and abs(item) >= 1 << 64 for item in items):
        raise ValueError("found a key of more than 64 bits")
    if all(isinstance(item, plain) for item in items):
        return value
    raise TypeError(f"found a {type(value).__name__} as a key, expected a plain value")


def _pairs(pairs: Any) -> list[tuple[Any, Any]]:
    return [(_key(pair[0]), pair[1]) for pair in pairs]


def _encode(text: Any, encoding: Any) -> bytes:
    """Python 3 writes bytes in protocol 2 as `_codecs.encode(text, "latin1")`."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"found encoding {shown(encoding)}, expected 'latin1'")
    return bytes(_expect(text, str).encode("latin1"))
