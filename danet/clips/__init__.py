"""From centred sequences to the clips that a network sees."""
