"""Other model servers, each in an environment of its own, for `python -m benchmarks.serving`."""
