"""What people declare of a model beforehand: the part of its card that no run can observe.

The keys are those of a CycloneDX 1.6 model card (`modelCard`), so that what is written here is what is published. What
a run observes (the data's digests, the metrics, the time of training) has no place here.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from configs.load import Strict, parse

EMPTY = frozenset({"", "todo", "tbd", "fixme", "n/a", "na", "none", "unknown", "unspecified", "xxx", "lorem ipsum"})
"""Words that say nothing."""
Text = Annotated[str, Field(min_length=3)]
Texts = Annotated[list[Text], Field(min_length=1)]


class Approach(Strict):
    """How it learns."""

    type: Literal["supervised", "unsupervised", "reinforcement-learning", "semi-supervised", "self-supervised"]


class Form(Strict):
    """What goes in or comes out."""

    format: Text


class Risk(Strict):
    """What may go wrong for people, and what is done about it."""

    name: Text
    mitigationStrategy: Text  # noqa: N815 - the standard's spelling, as everywhere below


class Fairness(Strict):
    """Who may be at a disadvantage."""

    groupAtRisk: Text  # noqa: N815
    benefits: Text
    harms: Text
    mitigationStrategy: Text  # noqa: N815


class Considerations(Strict):
    """Who it is for, what it cannot do, and what it costs others."""

    users: Texts
    useCases: Texts  # noqa: N815
    technicalLimitations: Texts  # noqa: N815
    performanceTradeoffs: Texts  # noqa: N815
    ethicalConsiderations: Annotated[list[Risk], Field(min_length=1)]  # noqa: N815
    environmentalConsiderations: Texts  # noqa: N815
    fairnessAssessments: Annotated[list[Fairness], Field(min_length=1)]  # noqa: N815


class Data(Strict):
    """What the data are, for every dataset of the run: how they are classified, what of them is sensitive, whose they
    are."""

    classification: Text
    sensitiveData: Texts  # noqa: N815
    owner: Text


class Card(Strict):
    """The declared part of a model card."""

    description: Text
    supplier: Text
    licence: Text
    approach: Approach
    task: Text
    architectureFamily: Text  # noqa: N815
    modelArchitecture: Text  # noqa: N815
    inputs: Annotated[list[Form], Field(min_length=1)]
    outputs: Annotated[list[Form], Field(min_length=1)]
    data: Data
    considerations: Considerations

    @field_validator("*", mode="after")
    @classmethod
    def _said(cls, value: Any) -> Any:
        for text in _texts(value.model_dump() if isinstance(value, Strict) else value):
            if text.strip(" .-").casefold() in EMPTY:
                raise ValueError(f"found {text!r}, which says nothing")
        return value


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for each in inner for text in _texts(each.model_dump() if isinstance(each, Strict) else each)]


def card(data: Any, name: str = "card") -> Card:
    """A card from what a file holds."""
    return parse(data, Card, name)
