"""The unimodal clients stay away: what their data are worth is the distance to it."""

from collections.abc import Sequence
from dataclasses import dataclass

from fedfeat.imputers.zero import Zero


@dataclass(frozen=True)
class MultimodalOnly(Zero):
    """Only multimodal clients take part; only rows that lack a modality in the source itself are zero-filled."""

    name = "multimodal_only"
    title = "Multimodal clients only"
    marks = ("without unimodal clients",)
    paper = True

    def applies(self, kinds: Sequence[str]) -> str | None:
        """Without a multimodal client there is nobody left."""
        return None if "multimodal" in kinds else "no client is multimodal"

    def takes_part(self, kind: str) -> bool:
        """Only multimodal clients."""
        return kind == "multimodal"
