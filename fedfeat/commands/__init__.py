"""One file a command of `fedfeat`: `add(commands)` says its options, `run(arguments)` does it and returns a status."""
