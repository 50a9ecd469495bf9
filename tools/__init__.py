"""What is run from a checkout and belongs to no package."""
