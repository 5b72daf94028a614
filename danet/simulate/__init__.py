"""Simulates the demo's recordings: people, motion, cameras, a body tracker with its faults, and the text it writes."""
