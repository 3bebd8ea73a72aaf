"""The other side of `isolated`: runs one function in this fresh process and writes the answer.

Usage: python -m benchmarks.child REQUEST ANSWER (two files, JSON). Not meant to be typed by hand.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from benchmarks.declare import UnavailableError
from benchmarks.measure import SystemClock, measure


def answer_to(request: dict[str, Any]) -> dict[str, Any]:
    """Does what the request asks for; errors become part of the answer."""
    for module, install in request["requires"]:
        try:
            importlib.import_module(module)
        except ImportError as error:
            return {"status": "unavailable", "reason": f"{install} ({error})"}
    module, _, name = request["target"].partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
        arguments = request["arguments"]
        gc.collect()
        done = measure(lambda: function(**arguments), SystemClock())
    except UnavailableError as error:
        return {"status": "unavailable", "reason": str(error)}
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        return {"status": "failed", "reason": reason, "details": traceback.format_exc()}
    return {"status": "ok", "figures": done.figures, "evidence": dict(done.outcome.evidence)}


def main(request: Path, answer: Path) -> None:
    """Reads the request, runs it, and puts the answer in place in one step."""
    text = json.dumps(answer_to(json.loads(request.read_text())))
    unfinished = answer.with_suffix(".part")
    unfinished.write_text(text)
    os.replace(unfinished, answer)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
