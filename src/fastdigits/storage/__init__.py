"""Model files: the safetensors format, and how a network is stored in it."""
