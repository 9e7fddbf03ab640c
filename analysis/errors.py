"""The one error that says: what was handed in cannot be judged."""


class AnalysisError(ValueError):
    """Bad input; the message is a sentence for the user and needs no traceback."""
