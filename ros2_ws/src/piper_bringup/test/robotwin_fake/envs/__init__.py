"""Nothing of RoboTwin: environments of ours that behave as oddly as RoboTwin 2.0 does, for tests."""
