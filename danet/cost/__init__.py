"""What a network costs on this machine."""
