"""Nothing of PyRep: what RLBench does with CoppeliaSim through it, without a simulator. Lines are of PyRep b8bd1d7."""

__version__ = "4.1.0.3"
