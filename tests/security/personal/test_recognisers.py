"""What our recognisers find that Presidio's miss, and leave alone where those cry wolf."""

import random
from collections import Counter
from functools import cache

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from presidio_analyzer import AnalyzerEngine
from presidio_analyzer.nlp_engine import NoOpNlpEngine

from security.personal.analyzer import THRESHOLD, plain, told
from security.personal.cells import Cells
from security.personal.found import Found
from security.personal.recognisers import PRIVATE
from security.personal.resolve import LOOSE, resolved
from tests.security.personal.labelled import COUNTRIES, VALUES, account, made

SEVEN = frozenset(VALUES)


@cache
def stock() -> AnalyzerEngine:
    """Presidio as it comes, without a model. Its list of public suffixes is asked of nobody here."""
    none = NoOpNlpEngine(models=[{"lang_code": "en", "model_name": "no_op"}])
    none.load()
    return AnalyzerEngine(nlp_engine=none, default_score_threshold=THRESHOLD)


def found(text: str) -> set[tuple[str, str]]:
    """Entity and value, of those that count."""
    return {(entity, text[start:end]) for entity, start, end, _ in resolved(plain(text))}


@pytest.mark.parametrize(
    ("text", "entity", "value"),
    [
        ("card 2221000000000009", "CREDIT_CARD", "2221000000000009"),
        ("4111_1111_1111_1111", "CREDIT_CARD", "4111_1111_1111_1111"),
        ("user4111111111111111", "CREDIT_CARD", "4111111111111111"),
        ("5018000000000009 was used", "CREDIT_CARD", "5018000000000009"),
        ("4111111111111111110", "CREDIT_CARD", "4111111111111111110"),
        ("Call my phone 212-555-5555", "PHONE_NUMBER", "212-555-5555"),
        ("tel: 07946 0958", "PHONE_NUMBER", "07946 0958"),
        ("2125555555 is my mobile", "PHONE_NUMBER", "2125555555"),
        ("ruf an: 0171 2345678", "PHONE_NUMBER", "0171 2345678"),
        ("+353 1 676 1234", "PHONE_NUMBER", "+353 1 676 1234"),
        ("my license is A1234567", "US_DRIVER_LICENSE", "A1234567"),
        ("see https://a.example.com:8080/x?y=z.", "URL", "https://a.example.com:8080/x?y=z"),
        ("bit.ly/abc", "URL", "bit.ly/abc"),
        ("kupione na allegro.pl wczoraj", "URL", "allegro.pl"),
        ("from 10.1.2.3, again", "IP_ADDRESS", "10.1.2.3"),
        ("write to john@example.com.", "EMAIL_ADDRESS", "john@example.com"),
        ("536-90-4399", "US_SSN", "536-90-4399"),
        ("GET /account?email=lisa@simpson.org HTTP/1.1", "EMAIL_ADDRESS", "lisa@simpson.org"),
        ("/users/lisa@simpson.org/orders", "EMAIL_ADDRESS", "lisa@simpson.org"),
        ("s3://bucket/exports/lisa@simpson.org/2024.csv", "EMAIL_ADDRESS", "lisa@simpson.org"),
        ("http://localhost:8080/reset?user=lisa@simpson.org", "EMAIL_ADDRESS", "lisa@simpson.org"),
        ("Jane Doe/lisa@simpson.org", "EMAIL_ADDRESS", "lisa@simpson.org"),
        ("crm/lisa@simpson.org", "EMAIL_ADDRESS", "lisa@simpson.org"),
        ("page#u=lisa@simpson.org", "EMAIL_ADDRESS", "lisa@simpson.org"),
        ("{lisa@simpson.org|`", "EMAIL_ADDRESS", "lisa@simpson.org"),
        ("_jane.doe@example.com_", "EMAIL_ADDRESS", "jane.doe@example.com"),
        ("jane.doe@example.com_backup", "EMAIL_ADDRESS", "jane.doe@example.com"),
        ("jane.doe@example.com_backup.tar.gz", "EMAIL_ADDRESS", "jane.doe@example.com"),
        ("jane.doe@example.com.csv", "EMAIL_ADDRESS", "jane.doe@example.com"),
        ("jane.doe@example.com-2024.csv", "EMAIL_ADDRESS", "jane.doe@example.com"),
        ("jane@my_host.example.com", "EMAIL_ADDRESS", "jane@my_host.example.com"),
        ("jörg@exämple.de", "EMAIL_ADDRESS", "jörg@exämple.de"),
        ("'o'neil+x_1@mail.example.org'", "EMAIL_ADDRESS", "o'neil+x_1@mail.example.org"),
        ("_@example.com", "EMAIL_ADDRESS", "_@example.com"),
        ("x@xn--80ak6aa92e.com", "EMAIL_ADDRESS", "x@xn--80ak6aa92e.com"),
        *((f"john.smith@mail.{end}", "EMAIL_ADDRESS", f"john.smith@mail.{end}") for end in PRIVATE),
        ("refund to BE68 5390 0754 7034 Jansen", "IBAN_CODE", "BE68 5390 0754 7034"),
        ("ES91 2100 0418 4502 0005 1332 gracias", "IBAN_CODE", "ES91 2100 0418 4502 0005 1332"),
        ("DE89-3704-0044-0532-0130-00, thanks", "IBAN_CODE", "DE89-3704-0044-0532-0130-00"),
        ("to gb82west12345698765432 now", "IBAN_CODE", "gb82west12345698765432"),
        ("PT50 0002 0123 1234 5678 9015 4 Silva", "IBAN_CODE", "PT50 0002 0123 1234 5678 9015 4"),
        ("call (212) 736-5000 ext. 12", "PHONE_NUMBER", "(212) 736-5000 ext. 12"),
        ("+1 212 736 5000 ext. 12", "PHONE_NUMBER", "+1 212 736 5000 ext. 12"),
        ("ask for (212) 736-5000. 12 of us wait", "PHONE_NUMBER", "(212) 736-5000"),
        ("(+905012360544) wrote: still waiting", "PHONE_NUMBER", "+905012360544"),
        ("tel (030 123456)", "PHONE_NUMBER", "030 123456"),
        ("llámame al 612 30 96 58", "PHONE_NUMBER", "612 30 96 58"),
        ("phone: 512-396-5106", "PHONE_NUMBER", "512-396-5106"),
        ("customer no-reply56@nhs.uk", "EMAIL_ADDRESS", "no-reply56@nhs.uk"),
        ("Mobil/0171 2345678", "PHONE_NUMBER", "0171 2345678"),
        ("Büro/(0113) 496 0018", "PHONE_NUMBER", "(0113) 496 0018"),
        ("GET /users/+442079460018/orders", "PHONE_NUMBER", "+442079460018"),
        ("Tel/+49 171 2345678", "PHONE_NUMBER", "+49 171 2345678"),
        ("contact 1.020 7946 0018", "PHONE_NUMBER", "020 7946 0018"),
        ("Connection from localhost/127.0.0.1:5432 refused", "IP_ADDRESS", "127.0.0.1"),
        ("localhost/127.0.0.1", "IP_ADDRESS", "127.0.0.1"),
        ("client42/192.168.77.45:51234", "IP_ADDRESS", "192.168.77.45"),
        ("client42/10.32.7.45:51234", "IP_ADDRESS", "10.32.7.45"),
        ("Peer 2001:db8::1: handshake failed", "IP_ADDRESS", "2001:db8::1"),
        ("bound to ::1", "IP_ADDRESS", "::1"),
        ("ftp://files.example.com/jane", "URL", "ftp://files.example.com/jane"),
        ("socket wss://stream.example.com:9443/ws closed", "URL", "wss://stream.example.com:9443/ws"),
        ("sftp://a.example.com", "URL", "sftp://a.example.com"),
        ("postgres://user:pw@db.example.com:5432/app", "URL", "postgres://user:pw@db.example.com:5432/app"),
        ('src="//cdn.example.com/x.png"', "URL", "//cdn.example.com/x.png"),
        ("https://münchen.de/rathaus", "URL", "https://münchen.de/rathaus"),
        ("at https://build.internal.acme/job?x=1.", "URL", "https://build.internal.acme/job?x=1"),
        ("https://example.com?x=1", "URL", "https://example.com?x=1"),
        ("https://en.wikipedia.org/wiki/A_(b) says", "URL", "https://en.wikipedia.org/wiki/A_(b)"),
        ("(see https://a.example.com/x)", "URL", "https://a.example.com/x"),
        *(
            (mark.join(["4111", "1111", "1111", "1111"]), "CREDIT_CARD", mark.join(["4111", "1111", "1111", "1111"]))
            for mark in ("\t", "  ", " - ", "+")
        ),
        ("1698415391,2221000000000009,12.50", "CREDIT_CARD", "2221000000000009"),
        ("2221 0000 0000 0009 1225", "CREDIT_CARD", "2221 0000 0000 0009"),
        ("2221 0000 0000 0009 123", "CREDIT_CARD", "2221 0000 0000 0009"),
        *(
            (f"{before} 2221 0000 0000 0009", "CREDIT_CARD", "2221 0000 0000 0009")
            for before in ("12", "zip 94110", "order 1234567", "2024", "sku A12", "user7")
        ),
        ("карта 2200928914842501", "CREDIT_CARD", "2200928914842501"),
        ("122000000000003", "CREDIT_CARD", "122000000000003"),
        ("q=+4111111111111111", "CREDIT_CARD", "4111111111111111"),
        ("card+378282246310005", "CREDIT_CARD", "378282246310005"),
        ("paid with +378282246310005", "CREDIT_CARD", "378282246310005"),
        ("EAN 4111111111111111", "CREDIT_CARD", "4111111111111111"),
        ("phone +4915123422599, mail", "PHONE_NUMBER", "+4915123422599"),
        ("+573211225731", "PHONE_NUMBER", "+573211225731"),
        ("To order: 212-736-5000", "PHONE_NUMBER", "212-736-5000"),
        ("Tickets 212-736-5000", "PHONE_NUMBER", "212-736-5000"),
        ("in my case, 212-736-5000", "PHONE_NUMBER", "212-736-5000"),
        ("order phone 212-736-5000", "PHONE_NUMBER", "212-736-5000"),
        ("ticket 0171 2345678", "PHONE_NUMBER", "0171 2345678"),
        ("order +1 212-736-5000", "PHONE_NUMBER", "+1 212-736-5000"),
        ("2 1 2 7 3 6 5 0 0 0", "PHONE_NUMBER", "2 1 2 7 3 6 5 0 0 0"),
        ("33 6 12 34 56 78", "PHONE_NUMBER", "33 6 12 34 56 78"),
        ('{"version":"2","ip":"110.3.10.26"}', "IP_ADDRESS", "110.3.10.26"),
    ],
)
def test_found(text: str, entity: str, value: str) -> None:
    assert found(text) == {(entity, value)}


@pytest.mark.parametrize(
    "text",
    [
        *("Chrome/120.0.0.0", "Chrome/119.0.6045.105", "v1.2.3.4", "version 10.0.0.1", "1.2.3.4.5"),
        *("os.system", "main.py", "it was late.so we left", "saw.it", "README.md", "utils.sh"),
        *("order 4839201746", "row 1698415391 of 1698415392", "0.3096563", "12.50", "between 10:30 and 11:00"),
        *("4111111111111112", "4111 1111 1111 1112", "41111111111111111111111", "1234-5678-9012-3456"),
        *("duplicate A1234567", "the public id A1234567", "john@localhost", "6.5 of 10"),
        *("jane@co.uk", "jane@example.csv", "BE68 5390 0754 7035 Jansen"),
        *("Chrome/120.0.0.0 Safari", "Lib/2125551234", "Lib/0.207946.0018", "4.0712345678", "51.05040911 13.73726"),
        *("firmware 2.14.0.7", "section 4.2.1.3 of the manual", "chapter 1.2.3.4", "a::b", "abc::def", "std::cafe"),
        *("user.name is null", "u.name", "order.date", "self.data.name", "self.data.app", "x = y //order.total"),
        *("http://localhost:8080/x", "s3://bucket/2024.csv"),
        *("4111 - 1111 - 1111 - 1112", "4111+1111+1111+1112", "0.2221000000000009", "12,2221000000000009"),
        *("IMEI 356040319753816 blocked", "order id 3227505-5807184", "USPS 9400 1452 1554 3616 5339 51"),
        *("1111 2221 0000 0000 0009", "2221 0000 0000 0009 1325"),
        *("log 1698415391123457", "EAN 4040476285897", '{"gtin-13":"4089901739499"}', "SIRET n° 67846579871191"),
        *("app version: 120.6.133.166", '"version": "120.6.133.166"', "§ 3.1.2.1 AGB", "Abschnitt 3.1.2.1"),
        *("firmware 120.6.133.166", "4 8 15 16 23 42", "1 2 3 4 5 6 7 8 9 10", "Rechnung 1352/126438"),
        *("sku=111889-7050", "Order no. 11910708-790 is late", "P/N 1120-5366-1935", "ref 3736 2112 7766"),
        *("policy number 182-851-4333", "part number 178-46553-52", "order number: 36578333", "case #33-84504-41841"),
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0.6045.105 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 Version/17.1 Mobile/15E148",
    ],
)
def test_left_alone(text: str) -> None:
    assert found(text) == set()


@pytest.mark.parametrize(
    "text",
    [
        "27.10.2023 14:03:11",
        "27-10-2023 14:03",
        "call on 27-10-2023 14:03",
        "phone 10-27-2023 14.03",
    ],
)
def test_a_date_is_no_number_to_call(text: str) -> None:
    assert "PHONE_NUMBER" not in {entity for entity, *_ in plain(text)}


@pytest.mark.parametrize("text", ["call 0171 27-10-2023", "+49 27.10.2023 14", "tel. 01.02.2003.45"])
def test_a_number_that_only_begins_or_ends_like_a_date_is_one(text: str) -> None:
    assert "PHONE_NUMBER" in {entity for entity, *_ in plain(text)}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (
            "/x?m=jane@example.com&n=bob@example.org",
            {("EMAIL_ADDRESS", "jane@example.com"), ("EMAIL_ADDRESS", "bob@example.org")},
        ),
        (
            "jane@example.com-bob@example.org",
            {("EMAIL_ADDRESS", "jane@example.com"), ("EMAIL_ADDRESS", "bob@example.org")},
        ),
        ("ssn=536-90-4399&mail=jane@example.com", {("US_SSN", "536-90-4399"), ("EMAIL_ADDRESS", "jane@example.com")}),
        (
            "card=4111111111111111&m=jane@example.com",
            {("CREDIT_CARD", "4111111111111111"), ("EMAIL_ADDRESS", "jane@example.com")},
        ),
        (
            "ES91 2100 0418 4502 0005 1332 BE68 5390 0754 7034",
            {("IBAN_CODE", "ES91 2100 0418 4502 0005 1332"), ("IBAN_CODE", "BE68 5390 0754 7034")},
        ),
    ],
)
def test_of_two_values_neither_hides_the_other(text: str, values: set[tuple[str, str]]) -> None:
    assert found(text) == values


@pytest.mark.parametrize(
    ("text", "entity", "value"),
    [
        ("Bot/1.0 (+https://wa.me/+442079460018)", "PHONE_NUMBER", "+442079460018"),
        ("ftp://anonymous:jane@example.com@ftp.example.org/", "EMAIL_ADDRESS", "jane@example.com"),
        ("https://jane@example.com/", "EMAIL_ADDRESS", "jane@example.com"),
        ("http://10.0.0.1:8080/x", "IP_ADDRESS", "10.0.0.1"),
    ],
)
def test_what_is_in_a_link_is_told_beside_it(text: str, entity: str, value: str) -> None:
    both = {(each, text[start:end]) for each, start, end, _ in plain(text)}
    assert (entity, value) in both
    assert "URL" in {each for each, _ in both}


@pytest.mark.parametrize("country", COUNTRIES)
def test_an_account_ends_where_its_country_says(country: str) -> None:
    """Also of countries whose length is a multiple of four, with a word or a number's sign behind it."""
    for seed in range(20):
        draw = random.Random(f"{country} {seed}")
        whole = account(country, draw)
        for mark in ("", " ", "-"):
            value = mark.join(whole[at : at + 4] for at in range(0, len(whole), 4))
            for text in (value, f"to {value} Jansen", f"{value} gracias", f"{value}, 12", f"iban={value}&n=2"):
                assert ("IBAN_CODE", value) in found(text)
        wrong = f"{whole[:-1]}{(int(whole[-1]) + 1) % 10}"
        assert "IBAN_CODE" not in {entity for entity, *_ in plain(wrong)}


def scored(seed: int, count: int, ours: bool) -> tuple[float, Counter[str]]:
    """Micro-F1 over seven entities, exact places; and how many of each were missed."""
    texts = list(made(count, seed))
    seen = Cells().find(pa.array([each.text for each in texts])) if ours else {}
    right = wrong = 0
    missed = Counter[str]()
    for index, each in enumerate(texts):
        raw = seen.get(index, ()) if ours else told(stock().analyze(each.text, language="en"))
        got = {one[:3] for one in resolved(raw) if one[0] in SEVEN}
        right += len(got & each.values)
        wrong += len(got - each.values)
        missed.update(entity for entity, *_ in each.values - got)
    return 2 * right / (2 * right + wrong + missed.total()), missed


def test_labelled_texts(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from presidio_analyzer.predefined_recognizers.generic import email_recognizer

    from security.personal.recognisers import Email

    monkeypatch.setattr(email_recognizer.tldextract, "extract", Email.suffixes)
    ours, missed = scored(1, 3_000, ours=True)
    theirs, _ = scored(1, 3_000, ours=False)
    with capsys.disabled():
        print(f"\n  micro-F1 over seven entities: {ours:.3f}; Presidio as it comes: {theirs:.3f}")
    assert ours >= 0.98
    assert ours > theirs + 0.03
    assert max(missed.values(), default=0) < 10


entities = st.sampled_from(["URL", "IBAN_CODE", *LOOSE])
places = st.tuples(entities, st.integers(0, 9), st.integers(1, 9), st.sampled_from([0.4, 0.75, 1.0]))


@given(st.lists(places.map(lambda each: (each[0], each[1], each[1] + each[2], each[3]))))
def test_what_is_resolved_overlaps_nowhere_and_loses_nothing_for_good(given_: list[Found]) -> None:
    kept = resolved(given_)
    assert set(kept) <= set(given_)
    for one, other in zip(kept, kept[1:], strict=False):
        assert one[2] <= other[1]
    for each in given_:
        assert any(each[1] < other[2] and other[1] < each[2] for other in kept)
    assert resolved(reversed(given_)) == kept


def test_what_has_a_check_digit_comes_first_and_a_length_last() -> None:
    iban = "GB82WEST12345698765432"
    assert found(f"pay {iban} now") == {("IBAN_CODE", iban)}
    assert resolved([("PHONE_NUMBER", 0, 12, 0.75), ("IP_ADDRESS", 0, 9, 0.6)]) == (("IP_ADDRESS", 0, 9, 0.6),)
    assert resolved([("URL", 3, 9, 0.5), ("EMAIL_ADDRESS", 0, 9, 1.0)]) == (("EMAIL_ADDRESS", 0, 9, 1.0),)
    assert resolved([("PHONE_NUMBER", 0, 15, 0.75), ("UK_NHS", 3, 15, 1.0)]) == (("PHONE_NUMBER", 0, 15, 0.75),)
    assert resolved([("UK_NHS", 0, 10, 1.0), ("US_BANK_NUMBER", 0, 10, 0.4)]) == (("UK_NHS", 0, 10, 1.0),)
    assert resolved([]) == ()
