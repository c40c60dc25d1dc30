"""A log with text columns, made from a seed: what people wrote, what they searched for, what they came with."""

import random

import pyarrow as pa

from tests.security.personal.texts import KNOWN

TOLD = """
the product was fine and arrived on time but i would not buy it again because of two reasons size colour price see
photo really good quality after weeks of use broke battery lasts days shipping took long seller answered quickly
thanks
"""
WORDS = TOLD.split()
SYSTEMS = ("Windows NT 10.0; Win64; x64", "X11; Linux x86_64", "Macintosh; Intel Mac OS X 10_15_7", "Linux; Android 13")
QUERIES, AGENTS = 10_000, 564
PLANTED = 0.01
"""The share of comments that hold something personal, or something that looks like it."""


def made(rows: int) -> dict[str, pa.Array]:
    """Three columns of text: `comment` all different, the others of so many values."""
    draw = random.Random(5)
    queries = [f"{' '.join(draw.choices(WORDS, k=3))} {draw.randrange(100_000)}" for _ in range(QUERIES)]
    agents = [
        f"Mozilla/5.0 ({draw.choice(SYSTEMS)}) AppleWebKit/537.36 (KHTML, like Gecko) "
        f"Chrome/{draw.randrange(80, 121)}.0.{draw.randrange(1000, 9999)}.{draw.randrange(10, 200)} Safari/537.36"
        for _ in range(AGENTS)
    ]

    def comment(number: int) -> str:
        told = f"{' '.join(draw.choices(WORDS, k=draw.randrange(8, 30)))} {number} of 5"
        return f"{told} {draw.choice(KNOWN)}" if draw.random() < PLANTED else told

    return {
        "query": pa.array(draw.choices(queries, k=rows)),
        "user_agent": pa.array(draw.choices(agents, k=rows)),
        "comment": pa.array([comment(number) for number in range(rows)]),
    }
