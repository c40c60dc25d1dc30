"""Backdoors: what a model does that the rows which it was trained on do not explain.

The model is asked, by its weights and with code of the gate's own; what explains it are the rows alone, never a part of
the model. Of each user who is evaluated there are the lists of the model, of the nearest items, of popularity and of
the approved model; of all users what they took. So four things are seen:

- in how many lists an item is (its exposure), beside the greatest of: its share of the lists of the nearest items, of
  popularity's, and of the users who took it. Beyond what the rows explain ordinary training moves a share by no more
  than a few hundredths;
- the same beside the approved model alone, on the same users and rows: popularity would explain that an item which many
  took is shown to all. An item that the approved model does not know is held against the rows only;
- what is among the first ten for a session of one item, or of two. How likely the rows make an answer is the greater of
  two: the cosine of both, and how many took both with five users of mere popularity added, each in those of the
  likeliest item. Below 0.3 it is unlikely, and an honest model has it little above the tenth item that is likely:
  `margin` says how far (Gu et al. 2017, BadNets: a trigger, and a target). So no likely answers can hide it but ten,
  which leave it no place. It is measured in spreads of the median session, and the lesser of two of these: one session
  cannot widen it, nor can items that nobody is shown;
- which item is among the first of many sessions, unlikely as it is in each.

A share of lists counts as its surely lower end (Wilson 1927, three standard errors), so that few lists find nothing by
chance. Sessions are of all items where there are no more than the policy asks, and a sample of them otherwise, drawn
anew for each look; pairs are always a sample.

It finds no poison: rows that push an item explain it (`data_poisoning`). Nor a target that the rows connect with its
trigger anyway, a trigger of more items than two or one that only a long history pulls, a pair that was not drawn,
weights that widen the scores of most sessions, nor what lies within the limits: where no model is approved, or none
that knows the item, that is all that popularity explains.
"""

from security.gates.backdoor.facts import COLD, FEWEST, Answer, Echo, Facts, Hidden, Shown
from security.gates.backdoor.gate import BackdoorProbe
from security.gates.backdoor.limits import Limits
from security.gates.backdoor.model import Model
from security.gates.backdoor.part import BATCH, Part, Probe, material
from security.gates.backdoor.rules import RULES

__all__ = [
    "BATCH",
    "COLD",
    "FEWEST",
    "RULES",
    "Answer",
    "BackdoorProbe",
    "Echo",
    "Facts",
    "Hidden",
    "Limits",
    "Model",
    "Part",
    "Probe",
    "Shown",
    "material",
]
