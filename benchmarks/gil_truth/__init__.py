"""Is `gilpool.gil` right? Verdicts on calls of which the truth is known, idle and overloaded."""
