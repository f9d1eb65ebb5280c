"""What knows no network: arrays, checks, whole files, random streams, text, signals."""
