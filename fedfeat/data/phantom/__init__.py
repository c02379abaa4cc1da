"""Synthetic chest studies from a seed: 64-pixel radiographs drawn from findings, with reports from a grammar.

`sites` holds every number, `findings` samples who has what, `anatomy`, `drawing`, `devices` and `acquisition` make the
picture, `phrases` and `grammar` the report, `dataset` the table, `store` keeps it; `gallery` makes the documentation.
"""

from fedfeat.data.phantom.dataset import fingerprint, generate, vocabulary_corpus
from fedfeat.data.phantom.sites import SEED, Sizes
from fedfeat.data.phantom.store import load

__all__ = ["SEED", "Sizes", "fingerprint", "generate", "load", "vocabulary_corpus"]
