"""Is the pytest plugin right? Honest tests stay green under overload, regressions turn red."""
