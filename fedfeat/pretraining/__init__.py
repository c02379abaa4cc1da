"""Pretraining of the phantom preset's encoders: never on a label, a finding, or a pair of a picture and a report."""
