"""The dual-attention network."""
