"""From sequences and a split to weights."""
