"""The demo's recordings, simulated: people, motion, cameras, a body tracker with its faults, and the text it writes."""
