"""The one error that ends a drive with a sentence."""


class WorkloadError(Exception):
    """The drive cannot start or go on; the message is a sentence for the user and needs no traceback."""
