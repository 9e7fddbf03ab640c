"""Histories of other programs and of ours, in and out of columns."""

from analysis.read.reading import read_table
from analysis.read.writing import FORMATS, write_table

__all__ = ["FORMATS", "read_table", "write_table"]
