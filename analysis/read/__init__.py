"""Histories of other programs and of ours, in and out of columns."""

from analysis.read.reading import read_table

__all__ = ["read_table"]
