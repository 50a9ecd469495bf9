"""What piece 2 measures, one file an idea."""
