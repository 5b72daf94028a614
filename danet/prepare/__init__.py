"""The stages of preparation, one file each: arrays in, arrays out."""
