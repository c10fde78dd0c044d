"""Numbers: columns of texts become arrays, as people and spreadsheets write numbers: 12.3%, 1,234.5, 3,5, 12MiB, 1.2k.

What has one reading is read. What has two (1.234 is 1234 where the comma is the decimal sign) takes the one that the rest of its column
shows; where nothing shows it, the plain reading is taken and said. What has none is an error.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np

from autoencoder.core.types import Array
from autoencoder.sources.reading import Decimal, MustReadAgain
from autoencoder.sources.units import CURRENCIES, PURE, UNITS

INFINITE = "(infinite)"  # what stands for a number without end in a document
UNTOLD = frozenset({"", "nan", "-nan", "+nan", "na", "null", "none"})  # what programs write for a missing value, and nothing else
MISSING = UNTOLD | {  # compared in lower case, without blanks around
    *r"n/a n.a. nil - -- --- – — . ? \n #n/a #na nodata unavailable unknown undefined missing <null> (null) #div/0! #value!".split(),
    *("no data", "not available", INFINITE),
}
BAD_NUMBER = "every value must be a number, or empty where it is missing"

_SIGNS: dict[Decimal, str] = {"point": ".", "comma": ","}
_SPACES = str.maketrans({"\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u2212": "-", "’": "'"})
_CURRENCY = "|".join(sorted(map(re.escape, CURRENCIES), key=len, reverse=True))
_CELL = re.compile(
    rf"(?P<sign>[-+]?) ?(?P<money>{_CURRENCY})? ?(?P<second>[-+]?)"
    r"(?P<digits>(?:[0-9][0-9 .,']*[0-9.,]|[0-9])|[.,][0-9]+)(?P<exponent>[eE][-+]?[0-9]+)?"
    r"(?P<unit> ?[^0-9 .,'+-].*)?"
)
_GROUPS = re.compile(r"[0-9]{1,3}(?:([ '.,])[0-9]{3})(?:\1[0-9]{3})*(?:(?!\1)[.,][0-9]*)?")
_ONE_GROUP = re.compile(r"[1-9][0-9]{0,2}[.,][0-9]{3}")  # 1.234 and 1,234: the sign may part thousands or begin the fraction
_CLEAR_POINT = re.compile(r"(?<![0-9.])(?:0|[1-9][0-9]{3,})?\.[0-9]|\.[0-9]{1,2}(?![0-9])|\.[0-9]{4}")
_HUNDREDS = re.compile(r"^ *[-+]?[1-9][0-9]{2,} *$", re.MULTILINE)


@dataclass(eq=False)
class NumberColumn:
    """Reads one column of numbers; what it has met settles how the rest is read."""

    name: str  # the column's
    decimal: Decimal | None = None  # its decimal sign as it is read now; None: the first cell that has one settles it
    _: KW_ONLY
    commas_group: bool = True  # where nothing settles it, the comma in 1,234 parts thousands; else it is the decimal sign
    may_change: bool = False  # it can be read again, so that a later cell can correct what an unclear one seemed to show

    def __post_init__(self) -> None:
        self.words: Counter[str] = Counter()  # cells that stand for a missing value, as they are written
        self._is_settled = self.decimal is not None
        self._unclear: str | None = None  # the first cell with two readings
        self.has_hundreds = False  # whether whole numbers of at least 100 were met: beside 960, 1.008 may be 1008
        self._unit: tuple[str, str] | None = None  # the quantity of the column, and the unit as its first cell writes it
        self._money: str | None = None
        self._bare: str | None = None  # the first number without a unit

    @property
    def unsettled(self) -> str | None:
        """The first cell that has two readings, where nothing in the column has settled which."""
        return None if self._is_settled else self._unclear

    @property
    def unit(self) -> str | None:
        """The unit of the column as its first cell with one writes it; "" where numbers have none; None where none was met."""
        return self._unit[1] if self._unit else None if self._bare is None else ""

    def go_on(self, decimal: Decimal | None, unit: str | None) -> None:
        """Be read as the rows before a restart were. Raises ValueError: the first rows after it were read in another way."""
        if decimal and self.decimal not in (None, decimal):
            raise ValueError(f"the rows before had a decimal {decimal}; give --set input.decimal={decimal}")
        quantity = UNITS[unit].quantity if unit in UNITS else None
        found = self._unit[0] if self._unit else None
        is_alike = found == quantity or {found, quantity} <= {None, *PURE} or self.unit is None
        if unit is not None and not is_alike:
            raise ValueError(f"the rows before {f'are in {unit}' if unit else 'have no unit'}; give every row the same unit")
        if decimal:
            self.decimal, self._is_settled = decimal, True
        if unit and quantity:
            self._unit = quantity, unit

    def convert(self, texts: Sequence[str]) -> Array:
        """Texts (N,) -> numbers (N,), NaN where missing.

        Raises:
            ValueError: one of them is no number, or does not fit the ones before it.
            MustReadAgain: the column is to be read again.
        """
        if self.decimal != "comma" and (self._unit is None or self._unit[0] in PURE):
            values = self._convert_plain(texts)
            if values is not None:
                return values
        memory = self.memory()  # what these texts settle counts once all of them are read
        try:
            return np.array([self._read(text) for text in texts], dtype=np.float64)
        except ValueError:
            self.recall(memory)
            raise

    def memory(self) -> dict[str, object]:
        """What the cells so far have settled."""
        return {**vars(self), "words": self.words.copy()}

    def recall(self, memory: dict[str, object]) -> None:
        """Stand where ``memory`` was taken."""
        vars(self).update(memory)

    def _convert_plain(self, texts: Sequence[str]) -> Array | None:
        """Numbers as programs write them, which is quick; None where they are not."""
        try:
            values = np.array(list(map(float, texts)), dtype=np.float64)
        except ValueError:
            return None
        joined = "\n".join(texts)
        if not joined.isascii() or "_" in joined:  # only Python takes 1_000 and digits of other scripts
            return None
        if np.isinf(values).any():
            raise ValueError(BAD_NUMBER)
        if not self._is_settled and "." in joined:
            self.decimal, self._is_settled = "point", _CLEAR_POINT.search(joined) is not None
            self._unclear = self._unclear or next((text for text in texts if "." in text and _is_one_group(text)), None)
        if not self._is_settled and not self.has_hundreds:
            self.has_hundreds = _HUNDREDS.search(joined) is not None
        if self._bare is None:
            self._bare = next(
                (text for text, value in zip(texts, values.tolist(), strict=True) if value and value == value), None
            )
        return values

    def _read(self, text: str) -> float:
        """One cell."""
        plain = text.translate(_SPACES).strip()
        if plain.lower() in MISSING:
            if plain.lower() not in UNTOLD:
                self.words[plain] += 1
            return math.nan
        found = _CELL.fullmatch(plain)
        if not found or (found["sign"] and found["second"]):
            raise ValueError(BAD_NUMBER)
        sign, exponent = found["sign"] or found["second"], found["exponent"] or ""
        number = float(sign + self._digits(found["digits"], bool(exponent)) + exponent)
        if math.isinf(number):
            raise ValueError(BAD_NUMBER)
        return number * self._size((found["unit"] or "").strip(), found["money"] or "", plain, number)

    # --- the decimal sign ---

    def _digits(self, digits: str, has_exponent: bool) -> str:
        """The digits as Python writes them."""
        decimal = _settles(digits)
        self.has_hundreds = self.has_hundreds or _HUNDREDS.fullmatch(digits) is not None
        if has_exponent and decimal is None and set(digits) & {".", ","}:  # nobody parts the thousands of 1,234e5
            decimal = "comma" if "," in digits else "point"
        if decimal:
            self._settle(decimal)
        elif _ONE_GROUP.fullmatch(digits):
            if self.decimal is None:  # alone, a point begins a fraction; a comma does where it does not part the cells
                self.decimal = "point" if "." in digits or self.commas_group else "comma"
            if not self._is_settled:
                self._unclear = self._unclear or digits
        point = _SIGNS[self.decimal or "point"]
        group = "," if point == "." else "."
        whole, _, fraction = digits.partition(point)
        if any(sign in whole for sign in (group, " ", "'")):
            if not (grouped := _GROUPS.fullmatch(digits)) or grouped[1] == point:
                raise ValueError(BAD_NUMBER)
            whole = re.sub(r"[ '.,]", "", whole)
        if re.search(r"[^0-9]", whole + fraction):
            raise ValueError(BAD_NUMBER)
        return f"{whole or '0'}.{fraction or '0'}"

    def _settle(self, decimal: Decimal) -> None:
        if decimal == self.decimal or self.decimal is None:
            self.decimal, self._is_settled = decimal, True
        elif self.may_change and not self._is_settled:
            raise MustReadAgain(decimals={self.name: decimal})
        else:
            raise ValueError(
                f"the numbers before it have a decimal {self.decimal}; write all of them alike, or give --set input.decimal={decimal}"
            )

    # --- the unit ---

    def _size(self, unit: str, money: str, text: str, number: float) -> float:
        """How many of the column's own unit one of the cell's is; 0 is 0 in any unit."""
        if unit in CURRENCIES and not money:
            unit, money = "", unit
        found = UNITS.get(unit)
        if unit and not found:
            raise ValueError(BAD_NUMBER)
        if money and self._money not in (None, money):
            raise ValueError(f"the numbers before it are in {self._money}; give a column one currency")
        self._money = money or self._money
        is_pure = found is None or found.quantity in PURE
        if found and self._unit and found.quantity != self._unit[0]:
            raise ValueError(f"the numbers before it are in {self._unit[1]}; give a column one unit")
        if found and not self._unit:
            if self._bare and not is_pure:
                raise ValueError(f"the numbers before it ({self._bare}) have no unit; {BAD_NUMBER}")
            self._unit = found.quantity, unit
        if not found and number:
            if self._unit and self._unit[0] not in PURE:
                raise ValueError(f"the numbers before it are in {self._unit[1]}; give every one its unit")
            self._bare = self._bare or text
        return found.size if found else 1.0


def is_number(text: str) -> bool:
    """Whether a text can be read as a number, in any of the ways; a missing one is none."""
    try:
        return not math.isnan(NumberColumn("")._read(text))
    except ValueError:
        return False


def _is_one_group(text: str) -> bool:
    return _ONE_GROUP.fullmatch(text.strip().lstrip("+-")) is not None


def _settles(digits: str) -> Decimal | None:
    """The decimal sign that the digits of one number show on their own; None where they show none."""
    points, commas = digits.count("."), digits.count(",")
    if points and commas:
        return "point" if digits.rindex(".") > digits.rindex(",") else "comma"
    if points + commas == 0 or _ONE_GROUP.fullmatch(digits):
        return None
    sign, count = (".", points) if points else (",", commas)
    is_fraction = count == 1
    return "point" if (sign == ".") == is_fraction else "comma"


def clear_decimals(text: str, separator: str) -> set[Decimal]:
    """The decimal signs that cells of a table show on their own: 3,5 and 1.234,5 a comma, 0.5 a point.

    ``text`` is whole lines; where the separator is a comma, only quoted cells count.
    """
    ends = '"' if separator == "," else rf'{re.escape(separator)}"\n'
    found: set[Decimal] = set()
    for decimal, sign in _SIGNS.items():
        group, point = re.escape("," if sign == "." else "."), re.escape(sign)
        whole = rf"(?:[0-9]{{1,3}}(?:{group}[0-9]{{3}})+|[0-9]+)"
        if re.search(rf"(?:^|[{ends}]) *[-+]?{whole}{point}(?:[0-9]{{1,2}}|[0-9]{{4,}}) *(?=$|[{ends}])", text):
            found.add(decimal)
    return found
