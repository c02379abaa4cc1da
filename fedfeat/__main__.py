"""`python -m fedfeat` is the command `fedfeat`."""

from fedfeat.cli import main

raise SystemExit(main())
