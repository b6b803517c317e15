"""The child process of `hdf5.py`: lists an HDF5 file on standard output. A script; imports nothing of quadgate."""

import json
import math
import os
import resource
import sys

_MEMORY = 2 << 30
_CPU_SECONDS = 2
_BYTES_PER_SECOND = 50_000_000
_EXPANSION, _FREE = 16, 1 << 26  # what all packed numbers may grow to: so many times the file, and so many bytes more


def main(path: str, start: int, size: int) -> None:
    """Print one line of JSON, then the bytes of the arrays whose place in the file is None."""
    _limit(size)
    import h5py

    with open(path, "rb") as stream:  # noqa: PTH123
        try:
            file = h5py.File(_Part(stream, start, size), "r")
            arrays, attributes = _walk(file)
            listing = []
            sent = []
            claimed = 0
            for name, dataset in arrays:
                place = dataset.id.get_offset()
                if place is None and math.prod(dataset.shape):
                    sent.append(dataset)
                    claimed += dataset.nbytes
                    most = size * _EXPANSION + _FREE
                    if claimed > most:
                        _refuse(
                            f"its packed datasets up to {name!r} claim {claimed} bytes in a file of {size}, expected "
                            f"at most {most}; if you trust the file, unpack it: h5repack -f NONE IN OUT"
                        )
                elif place is None:
                    place = 0
                listing.append((name, dataset.dtype.str, list(dataset.shape), place))
            sys.stdout.buffer.write(json.dumps({"arrays": listing, "attributes": attributes}).encode() + b"\n")
            for dataset in sent:
                sys.stdout.buffer.write(dataset[()].tobytes())
        except (OSError, RuntimeError, ValueError, TypeError, KeyError, MemoryError, OverflowError) as error:
            _refuse(str(error) or type(error).__name__)


class _Part:
    """A part of a file, as the file object that h5py reads."""

    def __init__(self, stream, start, size):
        self.stream, self.start, self.size, self.place = stream, start, size, 0

    def seek(self, offset, whence=os.SEEK_SET):
        self.place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.place, os.SEEK_END: self.size}[whence]
        return self.place

    def tell(self):
        return self.place

    def readinto(self, buffer):
        self.stream.seek(self.start + self.place)
        count = self.stream.readinto(memoryview(buffer)[: max(0, self.size - self.place)])
        self.place += count
        return count

    def read(self, count=-1):
        content = bytearray(self.size - self.place if count < 0 else min(count, self.size - self.place))
        return bytes(content[: self.readinto(content)])


def _walk(file):
    """Every dataset of numbers and the attributes of every object; a group that two paths lead to is listed once."""
    import h5py

    arrays, attributes, seen = [], {}, set()
    waiting = [("", file)]
    while waiting:
        name, thing = waiting.pop()
        found = {key: value for key in thing.attrs if (value := _plain(thing.attrs[key])) is not None}
        if found:
            attributes[name] = found
        if isinstance(thing, h5py.Dataset):
            if thing.external or thing.is_virtual:
                _refuse(f"dataset {name!r} lies in another file, which is not opened")
            if thing.dtype.kind in "biufc" and thing.shape is not None:
                arrays.append((name, thing))
        elif isinstance(thing, h5py.Group):
            place = h5py.h5o.get_info(thing.id).addr
            if place in seen:
                continue
            seen.add(place)
            for key in reversed(list(thing)):
                if not isinstance(thing.get(key, getlink=True), h5py.HardLink):
                    _refuse(f"{name}/{key} is a link to another place or file, which is not followed")
                waiting.append((f"{name}/{key}" if name else key, thing[key]))
    return arrays, attributes


def _plain(value):
    """An attribute as JSON has it: text, a number, or a list of them; None for anything else."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool)) else None


def _limit(size):
    memory = _MEMORY + 2 * size
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    seconds = _CPU_SECONDS + size // _BYTES_PER_SECOND
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _refuse(reason):
    sys.stderr.write(" ".join(reason.split()) + "\n")
    sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
