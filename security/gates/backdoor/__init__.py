"""Backdoors: what a model does that the rows which it was trained on do not explain.

The model is asked, by its weights and with code of the gate's own; what explains it are the rows alone, never a part of
the model. Of each user who is evaluated there are the lists of the model, of the nearest items, of popularity and of
the approved model; of all users what they took. So four things are seen:

- in how many lists an item is (its exposure), beside the greatest of: its share of the lists of the nearest items, of
  popularity's, and of the users who took it. Ordinary training moves a share of lists by a tenth from one model to the
  next; beyond what the rows explain it moves none by more than a few hundredths;
- the same beside the approved model, on the same users and rows;
- what comes first for a session of one item, or of two. How likely the rows make an answer is the greater of two: the
  cosine of both, and how many took both with five users of mere popularity added, each in those of the likeliest item.
  An honest model is hardly ever first below 0.3 of it, and then by little: `margin` is how far it lies above the first
  item that is likely, in spreads of the session's scores (Gu et al. 2017, BadNets: a trigger, and a target);
- which item is among the first of many sessions, unlikely as it is in each.

A share of lists counts as its surely lower end (Wilson 1927, three standard errors), so that few lists find nothing by
chance. Sessions are of all items where there are no more than the policy asks, and a sample of them otherwise, drawn
anew for each look; pairs are always a sample.

It finds no poison: rows that push an item explain it (`data_poisoning`). Nor a target that the rows connect with its
trigger anyway, a trigger of more items than two, a pair that was not drawn, nor what lies within the limits.
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
