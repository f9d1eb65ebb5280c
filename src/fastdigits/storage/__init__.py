"""Model files: the safetensors format, and what a network writes in it."""
