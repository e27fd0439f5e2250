"""Helpers of the environments."""
