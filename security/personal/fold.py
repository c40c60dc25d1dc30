"""A text as it would be read aloud: signs that look alike are one sign, and those that cannot be seen are none.

Compatibility forms (full-width, circled, mathematical) by NFKC of Unicode's annex 15; digits of any script, and signs
of one digit, to those of ASCII; dashes and the minus sign to a hyphen; marks dropped that stand over or through a sign
and make no letter with it; characters that are not seen dropped (category Cf: zero-width, soft hyphen, direction;
control characters but blanks; variation selectors and other marks that are ignored by who does not know them); and the
letters of Cyrillic and Greek that are drawn like Latin ones, which is a short list and not Unicode's own of confusables
(technical standard 39).
"""

import re
import unicodedata

_CYRILLIC = dict(zip("асԁеһіјӏорԛѕԝхуАВЕНІЈКМОРЅТХУ", "acdehijlopqswxyABEHIJKMOPSTXY", strict=True))
_GREEK = dict(zip("αγικνορτυχΑΒΕΗΙΚΜΝΟΡΤΥΖΧ", "ayiknoptuxABEHIKMNOPTYZX", strict=True))
_ALIKE = str.maketrans(_CYRILLIC | _GREEK)


FOLDED = r"[^\t\n\r -~]"
"""Of RE2: matches wherever there may be something to fold."""
_CONTROLS = {point: None for point in (*range(32), 127) if chr(point) not in "\t\n\r"}
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u20e3\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_STOP, _MINUS = "\u3002", "\u2212"


def folded(text: str) -> str:
    """The text in that form; one of ASCII without control characters is its own."""
    if not text.isascii():
        plain = unicodedata.normalize("NFKC", _UNSEEN.sub("", text)).translate(_ALIKE)
        # What stands together now that something between is gone may be one sign.
        text = unicodedata.normalize("NFKC", "".join(map(_sign, plain))) if not plain.isascii() else plain
    return text.translate(_CONTROLS)


def _sign(sign: str) -> str:
    if sign.isascii():
        return sign
    if sign.isdigit():
        return str(unicodedata.digit(sign))
    if sign == _STOP:
        return "."
    kind = unicodedata.category(sign)
    return "-" if kind == "Pd" or sign == _MINUS else "" if kind in ("Cf", "Mn", "Me") else sign
