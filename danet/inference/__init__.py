"""From trained networks to labels."""
