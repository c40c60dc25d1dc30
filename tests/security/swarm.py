"""A made-up crowd with labels: people, and bots of four habits, each told as what it does and not as what it shows.

Nothing here knows the rule that is judged by it: no code, no scale and no setting of `security.rows.accounts` is used.
The same team wrote both, so what is measured here is an upper bound of what would be found in the wild.

- a *scraper* walks the catalogue from some item on, page after page, by a timer with a little jitter, for some hours;
- a *click farm's* account works through a list of paid items again and again, in shifts, as fast as its worker clicks;
- a *stealthy* one waits like a person, minutes at a time and never twice the same, and does not sleep for days;
- a *human-paced* one replays when a person came, and looks for what is popular: in time it is a person.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

DAY, HOUR, MINUTE = 86_400.0, 3600.0, 60.0
START = 1_704_067_200.0
"""2024-01-01T00:00:00Z, in seconds since 1970."""
DAYS = 30
Event = tuple[float, int]
"""When (seconds since 1970), and which item."""


@dataclass(frozen=True)
class Crowd:
    """Accounts by name: what they did, and of the bots the habit."""

    events: dict[str, list[Event]]
    habits: dict[str, str]
    catalogue: int

    def rows(self) -> Iterator[tuple[str, int, float]]:
        """Who took which item when."""
        for name, done in self.events.items():
            for when, item in done:
                yield name, item, when


def _popular(draw: random.Random, catalogue: int, known: set[int]) -> int:
    """An item, the first ones far more often than the last; mostly one that is not known yet."""
    for _ in range(4):
        item = min(int(catalogue * draw.random() ** 2.5), catalogue - 1)
        if item not in known or draw.random() < 0.1:
            break
    known.add(item)
    return item


def _visits(draw: random.Random, zone: float, eager: float) -> list[float]:
    """When a person comes: some evenings and a few mornings of the month, by the clock of where he lives."""
    times = []
    for day in range(DAYS):
        if draw.random() < eager:
            clock = draw.gauss(20.5, 1.8) if draw.random() < 0.75 else draw.gauss(8.5, 1.2)
            times.append(START + day * DAY + (clock + zone) * HOUR)
    return times or [START + draw.randrange(DAYS) * DAY + (20 + zone) * HOUR]


def person(draw: random.Random, catalogue: int) -> list[Event]:
    """Evenings, with bursts, hesitation, and now and then one film once more; a few rate a whole shelf in one go."""
    zone, eager = draw.choice([-8.0, -5.0, 0.0, 1.0, 2.0, 5.5, 8.0]), draw.uniform(0.05, 0.7)
    taste, known = draw.randrange(catalogue), set[int]()
    done: list[Event] = []
    for come in _visits(draw, zone, eager):
        when, long = come, int(draw.lognormvariate(2.6, 0.8)) + 1
        if draw.random() < 0.03:
            long += draw.randrange(80, 300)
        for _ in range(min(long, 400)):
            near = (taste + int(draw.gauss(0, catalogue / 40))) % catalogue
            item = near if draw.random() < 0.6 and near not in known else _popular(draw, catalogue, known)
            if done and draw.random() < 0.05:
                item = draw.choice(done)[1]
            done.append((when, item))
            when += draw.lognormvariate(2.4, 1.3)
    return done


def scraper(draw: random.Random, catalogue: int) -> list[Event]:
    """Page after page by a timer, at any hour, one walk or several."""
    done: list[Event] = []
    for _ in range(draw.randint(1, 3)):
        when = START + draw.uniform(0, DAYS - 1) * DAY
        page, wait = draw.randrange(catalogue), draw.choice([0.5, 1.0, 2.0, 5.0, 10.0])
        for step in range(draw.randint(150, catalogue)):
            done.append((when, (page + step) % catalogue))
            when += wait * draw.uniform(0.8, 1.25)
    return done


def clicker(draw: random.Random, catalogue: int) -> list[Event]:
    """A list of paid items, again and again, in shifts of some hours, for some days."""
    paid = [draw.randrange(catalogue) for _ in range(draw.randint(2, 6))]
    done: list[Event] = []
    for day in sorted(draw.sample(range(DAYS), draw.randint(3, 10))):
        when = START + day * DAY + draw.uniform(2, 10) * HOUR
        end = when + draw.uniform(1.5, 5) * HOUR
        while when < end:
            for item in draw.sample(paid, len(paid)):
                done.append((when, item))
                when += draw.lognormvariate(1.6, 0.6)
            when += draw.uniform(2, 12) * MINUTE
    return done


def stealthy(draw: random.Random, catalogue: int) -> list[Event]:
    """One page every few minutes, as a person who reads would, day and night, for days on end."""
    when = START + draw.uniform(0, DAYS - 10) * DAY
    end = when + draw.uniform(2, 9) * DAY
    mean, known = draw.uniform(2, 9) * MINUTE, set[int]()
    done: list[Event] = []
    while when < end:
        done.append((when, _popular(draw, catalogue, known)))
        when += 5 + draw.expovariate(1 / mean)
        if draw.random() < 0.01:
            when += draw.uniform(20, 70) * MINUTE
    return done


def paced(draw: random.Random, catalogue: int) -> list[Event]:
    """A person's visits, and what everybody takes."""
    known = set[int]()
    return [(when, _popular(draw, catalogue, known)) for when, _ in person(draw, catalogue)]


HABITS: dict[str, Callable[[random.Random, int], list[Event]]] = {
    "scraper": scraper,
    "click farm": clicker,
    "stealthy": stealthy,
    "human-paced": paced,
}


def crowd(seed: int, people: int, each: int, catalogue: int = 2_000) -> Crowd:
    """So many people, and so many bots of each habit, under names that tell nothing."""
    draw = random.Random(f"crowd {seed}")
    makers = [("", person)] * people + [(habit, make) for habit, make in HABITS.items() for _ in range(each)]
    draw.shuffle(makers)
    events, habits = dict[str, list[Event]](), dict[str, str]()
    for number, (habit, make) in enumerate(makers):
        name = f"a{number:06d}"
        events[name] = sorted(make(draw, catalogue))
        if habit:
            habits[name] = habit
    return Crowd(events, habits, catalogue)
