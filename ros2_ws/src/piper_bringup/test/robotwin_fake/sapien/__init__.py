"""The one setting of sapien that the worker touches."""
