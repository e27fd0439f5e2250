"""A virtual CAN segment between processes, and an emulated PiPER that speaks on it."""
