"""Joint layouts, the bodies that a sensor saw, and the sequences made of them."""
