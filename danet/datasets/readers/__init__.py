"""Readers of raw files, one file a format."""
