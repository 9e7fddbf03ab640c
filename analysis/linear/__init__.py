"""Linearizability: whether one order of the operations explains every answer."""

from analysis.linear.check import check
from analysis.linear.model import Model
from analysis.linear.options import MODELS, Options

__all__ = ["MODELS", "Model", "Options", "check"]
