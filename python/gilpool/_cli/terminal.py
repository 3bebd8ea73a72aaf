"""What the command may do on the stream it writes to."""

from __future__ import annotations

import os
from typing import IO


def is_capable_terminal(stream: IO[str]) -> bool:
    """Whether somebody looks at this stream on a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")
