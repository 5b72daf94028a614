"""The vocabulary: joint layouts, sightings of bodies, sequences."""
