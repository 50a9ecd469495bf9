"""Checkpoint formats, one a file: each says what it recognises, keeps, drops, and cannot know."""
