"""Benchmarks: every number that the README states is printed by a script here."""
