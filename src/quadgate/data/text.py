"""The text of a file, in the encodings that people's files have."""

from __future__ import annotations

from pathlib import Path

from quadgate.errors import FileFormatError, InputError


def read_text(path: Path) -> tuple[str, str]:
    """Return the text of `path` with newlines as line ends, and the encoding it was read in.

    UTF-8 (with or without a byte-order mark), else GBK; UTF-16 where its byte-order mark says so. GBK whose every
    character happens to be valid UTF-8 (a rare one: two bytes such as D6 B5) is read as UTF-8.

    Raises:
        InputError: the file cannot be opened.
        FileFormatError: it is in none of these encodings, or holds no text.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror})") from error
    utf16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ("utf-16",) if utf16 else ("utf-8-sig", "gbk"):
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        return text.replace("\r\n", "\n").replace("\r", "\n"), "utf-8" if encoding == "utf-8-sig" else encoding
    raise FileFormatError(f"{path}: found bytes that are no text, expected UTF-8 or GBK; save it as UTF-8")
