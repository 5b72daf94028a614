"""The settings: what every choice is called, its type, its default, its sentence."""
