"""The networks, behind one interface."""
