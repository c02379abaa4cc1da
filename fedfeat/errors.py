"""The one exception of bad input: its message is a single line that names the culprit and the way out."""


class FedfeatError(Exception):
    """Bad input, not a bug: shown to the user as one line, without a traceback."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))
