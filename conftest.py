"""Nodes of one test process hear nobody else's: never another worker's or a bench's (from 50), hardly another run's."""

import os

os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 49)
