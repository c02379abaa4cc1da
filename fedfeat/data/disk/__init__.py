"""Published collections as arrays on disk: what `fedfeat prepare` writes once, and what cases then read.

`layout` is the folder and its reading, `decoding` the pictures on all cores, `making` the whole way there.
"""
