"""Attention inside residual units, a module each; a run names one, and only its code is watched.

A module has a class `Attention(channels)`. It is given a unit's dense path before the shortcut is
added, y [n, c, i, j], and returns what takes its place and a map of attention >= 0, [n, i, j], that
people's maps can be compared with.
"""
