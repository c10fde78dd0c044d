"""Lines: bytes are cut into numbered lines of text, with bounded memory, whatever program encoded them."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence
from typing import NamedTuple

from autoencoder.core.errors import InputError
from autoencoder.sources.numbers import MISSING

MAX_LINE_BYTES = 1 << 20
OVERLONG = "(overlong)\n"  # stands for a longer line; no line can equal it, since it holds a line's end

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# bytes of text in Windows-1252 that is no UTF-8: signs of money and units, letters; what else is not ASCII makes no such text
_WESTERN = bytes({*b"\t\n\r", *range(0x20, 0x7F), 0x80, *range(0x91, 0x98), *range(0xA0, 0xC0), *range(0xC0, 0xFE)})


class Lines(NamedTuple):
    """Lines of a file, none of them blank, and their numbers in it, from 1 on."""

    numbers: Sequence[int]
    texts: Sequence[str]

    def part(self, piece: slice) -> Lines:
        """Some of them."""
        return Lines(self.numbers[piece], self.texts[piece])

    def keep(self, is_wanted: Callable[[str], object]) -> Lines:
        """Those whose text is wanted."""
        kept = [row for row, text in enumerate(self.texts) if is_wanted(text)]
        return Lines([self.numbers[row] for row in kept], [self.texts[row] for row in kept])


class LineBuffer:
    """Collects bytes until their line is complete.

    Lines end with LF or CR LF and are UTF-8, with or without a byte order mark, or UTF-16 with one, or, where the buffer is not tolerant,
    Windows-1252. A line that is too long becomes ``OVERLONG`` as soon as that is known. Other bytes are an error, or U+FFFD where the
    buffer is tolerant. Lines that begin with # are comments and left out.
    """

    def __init__(self, name: str, tolerant: bool = False, first: int = 1) -> None:
        self._name = name
        self._tolerant = tolerant
        self._first = first  # number of the first line
        self.clear()

    def clear(self) -> None:
        """Forget the half line, and be at the top of a file again."""
        self._half = bytearray()
        self._skips = False  # inside a line that is too long
        self._count = self._first - 1  # number of the newest line
        self._start = b""  # the first byte of all, until there is a second one
        self._is_started = self._is_western = self._is_wider = False
        self._decoder: codecs.IncrementalDecoder | None = None  # of UTF-16
        self.comment: str | None = None  # the newest one, without its sign; above a table it may be the header

    def push(self, data: bytes) -> Lines:
        """Take the next bytes; give the lines they complete. Raises InputError: a line is no UTF-8 text (not tolerant only)."""
        data = self._to_utf8(data)
        if self._skips:
            _, newline, data = data.partition(b"\n")
            self._skips = not newline
        complete, newline, half = data.rpartition(b"\n")
        texts: list[str] = []
        if newline:
            texts = self._decode(bytes(self._half) + complete)
            self._half.clear()
        self._half += half
        if len(self._half) > MAX_LINE_BYTES:
            texts.append(OVERLONG)
            self._half.clear()
            self._skips = True
        lines = Lines(range(self._count + 1, self._count + len(texts) + 1), texts)
        self._count += len(texts)
        if b"#" in complete:
            lines = lines.keep(self._is_row)
        return lines if all(map(str.strip, lines.texts)) else lines.keep(str.strip)

    def finish(self) -> Lines:
        """The last line, where the bytes ended without a newline; else nothing."""
        data, self._start, self._is_started = self._start, b"", True
        self._half += data
        return self.push(b"\n") if self._half else Lines((), ())

    def _to_utf8(self, data: bytes) -> bytes:
        """The next bytes, those of UTF-16 encoded anew."""
        if not self._is_started:
            data = self._start + data
            if len(data) < 2:
                self._start = data
                return b""
            self._start, self._is_started = b"", True
            if data.startswith(_WIDE_MARKS):
                self._decoder = codecs.getincrementaldecoder("utf-16")("replace" if self._tolerant else "strict")
        if self._decoder is None:
            return data
        try:
            return self._decoder.decode(data).encode()
        except UnicodeError:
            raise InputError(f"{self._name}: begins as UTF-16 text and goes on as something else; save it as UTF-8") from None

    def _is_row(self, text: str) -> bool:
        """Whether a line is no comment."""
        if not text.startswith("#") or text.strip().lower() in MISSING:  # #N/A
            return True
        self.comment = text.lstrip("# ")
        return False

    def _decode(self, block: bytes) -> list[str]:
        if self._count == self._first - 1:
            block = block.removeprefix(_BYTE_ORDER_MARK)
        text = block.decode(errors="replace") if self._tolerant else self._decode_strictly(block)
        lines = text.split("\n")
        if "\r" in text:
            lines = [line.removesuffix("\r") for line in lines]
        if len(block) > MAX_LINE_BYTES:
            lines = [OVERLONG if len(line) > MAX_LINE_BYTES else line for line in lines]
        return lines

    def _decode_strictly(self, block: bytes) -> str:
        place = block.find(b"\0")
        remedy = "a zero byte; the file must be UTF-8 text, not binary or UTF-16 without a byte order mark"
        if place < 0:
            try:
                if self._is_western:
                    return block.decode("cp1252")
                text = block.decode()
                self._is_wider = self._is_wider or not block.isascii()
                return text
            except UnicodeDecodeError as error:
                if not self._is_wider and not block.translate(None, _WESTERN):
                    self._is_western = True
                    return block.decode("cp1252")
                place = error.start
                remedy = f"the byte 0x{block[place]:02x}, which is not UTF-8; the file must be UTF-8 text, plain or gzipped"
        line = self._count + block.count(b"\n", 0, place) + 1
        raise InputError(f"{self._name}, line {line}: found {remedy}")
