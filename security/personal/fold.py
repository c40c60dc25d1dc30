"""A text as it would be read aloud: signs that look alike are one sign, and those that cannot be seen are none.

Compatibility forms (full-width, circled, mathematical) by NFKC of Unicode's annex 15; digits of any script to those of
ASCII; characters of the category Cf (zero-width, soft hyphen, direction) dropped; and the letters of Cyrillic and Greek
that are drawn like Latin ones, which is a short list and not Unicode's own of confusables (technical standard 39).
"""

import unicodedata

_CYRILLIC = dict(zip("асԁеһіјӏорԛѕԝхуАВЕНІЈКМОРЅТХУ", "acdehijlopqswxyABEHIJKMOPSTXY", strict=True))
_GREEK = dict(zip("αγικνορτυχΑΒΕΗΙΚΜΝΟΡΤΥΖΧ", "ayiknoptuxABEHIKMNOPTYZX", strict=True))
_ALIKE = str.maketrans(_CYRILLIC | _GREEK)


def folded(text: str) -> str:
    """The text in that form; one of ASCII alone is its own."""
    if text.isascii():
        return text
    plain = unicodedata.normalize("NFKC", text).translate(_ALIKE)
    return "".join(map(_sign, plain)) if not plain.isascii() else plain


def _sign(sign: str) -> str:
    if sign.isascii():
        return sign
    if sign.isdecimal():
        return str(unicodedata.decimal(sign))
    return "" if unicodedata.category(sign) == "Cf" else sign
