"""Lets `python -m gilpool` do what the `gilpool` command does."""

from gilpool._cli.main import main

raise SystemExit(main())
