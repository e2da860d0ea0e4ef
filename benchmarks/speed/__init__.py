"""Parts of the speed benchmarks, whose commands are throughput.py and gpu.py."""
