"""Lines: bytes as they come, cut into lines of text, with bounded memory."""

from __future__ import annotations

from data.series import InputError

LONGEST_LINE = 1 << 20  # bytes
OVERLONG = f"(a line of more than {LONGEST_LINE:,} bytes)"  # stands for such a line where reading goes on after it

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class LineBuffer:
    """Collects bytes until their line is complete.

    Lines end with LF or CR LF and are UTF-8, with or without a byte order mark. Not tolerant (files): what is no such text is an
    error. Tolerant (live streams): bytes that are not UTF-8 become U+FFFD, and a line that is too long becomes ``OVERLONG``.
    """

    def __init__(self, name: str, tolerant: bool = False) -> None:
        self._name = name
        self._tolerant = tolerant
        self.clear()

    def clear(self) -> None:
        """Forget the half line, and be at the top of a file again."""
        self._half = bytearray()
        self._skips = False  # inside a line that is too long
        self._lines = 0  # complete lines so far

    def push(self, data: bytes) -> list[str]:
        """Take the next bytes; give the lines they complete.

        Raises:
            InputError: a line is too long or is no UTF-8 text (not tolerant only).
        """
        if self._skips:
            _, newline, data = data.partition(b"\n")
            if not newline:
                return []
            self._skips = False
            self._lines += 1
            return [OVERLONG, *self.push(data)]
        complete, newline, half = data.rpartition(b"\n")
        lines: list[str] = []
        if newline:
            lines = self._decode(bytes(self._half) + complete)
            self._half.clear()
        self._half += half
        if len(self._half) > LONGEST_LINE:
            self._refuse_overlong(self._lines + 1)
            self._half.clear()
            self._skips = True
        return lines

    def finish(self) -> list[str]:
        """The last line, where the bytes ended without a newline; else nothing."""
        if self._skips:
            self._skips = False
            return [OVERLONG]
        half = bytes(self._half)
        self._half.clear()
        return self._decode(half) if half else []

    def _decode(self, block: bytes) -> list[str]:
        if self._lines == 0:
            block = block.removeprefix(_BYTE_ORDER_MARK)
        text = block.decode(errors="replace") if self._tolerant else self._decode_strictly(block)
        lines = text.split("\n")
        if "\r" in text:
            lines = [line.removesuffix("\r") for line in lines]
        if len(block) > LONGEST_LINE:
            lines = [self._bound(line, self._lines + row) for row, line in enumerate(lines, start=1)]
        self._lines += len(lines)
        return lines

    def _decode_strictly(self, block: bytes) -> str:
        if (zero := block.find(b"\0")) >= 0:
            raise InputError(f"{self._place(block, zero)}: found a zero byte; the file must be UTF-8 text, not binary or UTF-16")
        try:
            return block.decode()
        except UnicodeDecodeError as error:
            found = f"{self._place(block, error.start)}: found the byte 0x{block[error.start]:02x}"
            raise InputError(f"{found}, which is not UTF-8; the file must be UTF-8 text, plain or gzipped") from None

    def _place(self, block: bytes, offset: int) -> str:
        earlier = block.count(b"\n", 0, offset)
        return f"{self._name}, line {self._lines + earlier + 1}"

    def _bound(self, line: str, number: int) -> str:
        if len(line) <= LONGEST_LINE:
            return line
        self._refuse_overlong(number)
        return OVERLONG

    def _refuse_overlong(self, number: int) -> None:
        if not self._tolerant:
            raise InputError(
                f"{self._name}, line {number}: found no end of the line within {LONGEST_LINE:,} bytes; one row must be one line"
            )
