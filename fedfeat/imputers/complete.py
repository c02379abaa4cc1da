"""No modality is missing: the upper bound of the paper's figure 3."""

from dataclasses import dataclass

from fedfeat.imputers.zero import Zero


@dataclass(frozen=True)
class Complete(Zero):
    """Every client holds both modalities; only rows that lack one in the source itself are zero-filled."""

    name = "complete"
    title = "Complete modalities"
    marks = ("upper bound",)
    paper = True
    nothing_missing = True
