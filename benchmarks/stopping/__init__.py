"""Parts of the stopper's audit; benchmarks/audit.py is the command."""
