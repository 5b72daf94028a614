"""From raw recordings to centred sequences and splits; a module a stage."""
