"""The one error for data on disk that is not what was asked for."""


class DataError(ValueError):
    """The data on disk is not what was asked for; the message names the file and the remedy."""
