"""A network in forms that run without this package."""
