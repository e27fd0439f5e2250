"""RoboTwin 2.0 in a process of its own: the worker that runs it, and the link that starts and asks the worker."""
