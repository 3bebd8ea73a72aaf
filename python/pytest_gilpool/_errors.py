"""The error of a failed assertion about the GIL, told apart from assertions of the call itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gilpool.gil import GilReport


class GilAssertionError(AssertionError):
    """The call does not treat the GIL as asserted; `report` is what the witness saw."""

    __module__ = "pytest_gilpool"

    def __init__(self, message: str, report: GilReport) -> None:
        super().__init__(message)
        self.report = report
