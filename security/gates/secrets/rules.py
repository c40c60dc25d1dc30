"""What is wrong with a checkout and what its repository keeps: from the facts and the limits alone."""

from collections.abc import Iterator

from security.gates.secrets.facts import Facts, Found, Limits

ALLOWED = "allowed: none, but what the policy names by its fingerprint"


def judged(facts: Facts, limits: Limits) -> Iterator[tuple[str, str, str]]:
    """Rule, place and sentence of each breach."""
    left = [each for each in facts.found if each.print not in limits.allowed]
    for each in left:
        rule = "SEC-03" if each.key else "SEC-02" if each.commit else "SEC-01"
        yield rule, each.place, f"found {_said(each)}; {ALLOWED}"
        if each.marked:
            yield (
                "SEC-04",
                each.place,
                f"a comment tells scanners to look away from {_said(each)}; allowed: none that hides one",
            )
    if facts.more:
        yield "SEC-01", "the rest", f"found {facts.more:,} more; {ALLOWED}"
    for name in facts.settings if left else ():
        yield "SEC-04", name, "settings that tell scanners where to look away, beside secrets; allowed: none beside one"
    for folder, count in sorted(facts.about.besides.items()):
        if folder not in limits.besides:
            yield "SEC-05", folder, f"{count:,} files were left out; allowed: what the policy names, with a reason"
    for oddity in facts.about.oddities:
        yield "SEC-06", "repository", f"found {oddity}; allowed: nothing that makes git tell another history"
    for sealed in facts.sealed:
        if sealed.kind not in limits.opaque:
            more = f", and {sealed.count - 1:,} more" if sealed.count > 1 else ""
            yield (
                "SEC-07",
                sealed.name,
                f"nobody can look into it: {sealed.kind}{more}; allowed: kinds that the policy names",
            )


def doubts(facts: Facts) -> Iterator[str]:
    """Why engines cannot be believed."""
    for each in facts.engines:
        if each.taken != each.given:
            yield f"{each.name} took {each.taken:,} of {each.given:,} lines"
        if not each.shown or each.caught != each.shown:
            yield f"{each.name} found {each.caught:,} of the {each.shown:,} secrets that it was shown"


def _said(found: Found) -> str:
    return f"{found.kind} ({' and '.join(found.engines)}), fingerprint {found.print}"
