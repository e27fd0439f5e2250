"""Names, observations and recorded data; no ROS import in this room."""
