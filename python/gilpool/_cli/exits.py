"""The exit codes of the command line, and the exception that ends a command with one of them."""

from __future__ import annotations

OK = 0
MEASURED_OTHERWISE = 1
"""The measurement ran to its end, and its outcome is not what it must be."""
USAGE = 2
"""The command was asked for something it cannot do; nothing was measured."""
NOT_MEASURED = 3
"""The measuring process died, hung or could not start; there is no outcome to judge."""
NOT_WRITTEN = 4
"""The measurement ran to its end, but its outcome could not be written where it should go."""
SIGNAL_BASE = 128
"""Ended by a signal: this plus its number, as a shell reports it (130 is Ctrl-C)."""


class CommandError(Exception):
    """Ends the command with `code`, after `sentence` has been said on stderr."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
