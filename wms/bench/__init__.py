"""What `run.py bench` measures, a file for each bench, and what the benches share."""
