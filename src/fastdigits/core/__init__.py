"""Basics that need no network: arrays, checks, atomic files, random streams, text, signals."""
