"""What stands where a secret would and is none: a reference to it, a blank to be filled in, an example.

Each has a name, under which it is counted: what is taken for a placeholder is shown, so that it cannot grow unseen. The
whole value must be one; a secret with the word `example` in it stays a secret.
"""

import re

_FORMS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("reference", r"\$\{[^{}]{0,200}\}|\$\([^()]{0,200}\)|%[A-Za-z_]{1,80}%"),
        ("reference", r"\$(?:[A-Z_][A-Z0-9_]{0,80}|[a-z_]{1,80})"),
        ("reference", r"\$?\{\{[^{}]{0,200}\}\}|\{[^{}]{0,200}\}|%\([A-Za-z_]{1,80}\)s|%[sr]|@[A-Za-z_.]{1,80}@"),
        ("reference", r"env[:+][A-Za-z_]{1,80}|(?:file|vault|ref|arn|op|sops|ssm|kms)[:+][\w/.:@#-]{1,200}"),
        ("reference", r"(?:os\.environ|os\.getenv|process\.env)\b\S{0,200}"),
        ("reference", r"(?:self|settings|config|args|env|secrets|var|data|local)(?:\.[A-Za-z_]{1,40}){1,4}"),
        ("blank", r"<[^<>]{0,200}>|\[[^\[\]]{0,80}\]|[*.xX#_\-•0]{3,200}|\.\.\."),
        ("blank", r"(?i)(?:none|null|nil|true|false|undefined|todo|tbd|n/a|empty|unset|redacted|masked|hidden)"),
        (
            "example",
            r"(?i)(?:(?:your?|my|some|the|an?|insert|enter|add|put|set|replace|change|change[_-]?it|dummy|fake|sample|test"
            r"|example|placeholder|default|invalid|wrong|bad|new|old|this|is|not|real|here|me|with|by|in|to|"
            r"secret|secrets|password|passwd|pass|passphrase|token|key|keys|api|access|auth|user|username|client|private"
            r"|value|string|id|admin|root|postgres|guest|foo|bar|baz|x{3,}+)[ _\-.]{0,2}){1,12}",
        ),
    )
)  # fmt: skip
_WORDS = re.compile(
    r"[a-z]+(?:[ _.\-/:][a-z]+){0,12}|[A-Z]+(?:[ _.\-/:][A-Z]+){0,12}|[A-Z]?[a-z]+(?:[A-Z][a-z]+){0,12}"
    r"|[A-Za-z']{1,20}(?:[,.;:]? [A-Za-z']{1,20}){2,40}[.,;:!?]?"
)
"""Letters of one case, capitals where words begin, or a sentence."""


def placeholder(value: str) -> str:
    """The kind of placeholder that a whole value is, or nothing."""
    text = value.strip().strip("\\\"'`,;")
    if len(set(text)) <= 2:
        return "blank"
    return next((name for name, form in _FORMS if form.fullmatch(text)), "")


def words(value: str) -> bool:
    """Whether a value is nothing but words: a name, a word, a sentence."""
    return len(value) <= 200 and bool(_WORDS.fullmatch(value.strip()))
