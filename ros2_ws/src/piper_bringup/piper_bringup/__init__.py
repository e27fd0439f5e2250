"""Two PiPER arms and their world: names, CAN, driver, simulated cell, and the node graph."""
