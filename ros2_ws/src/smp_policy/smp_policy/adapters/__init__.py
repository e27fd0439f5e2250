"""What other people's evaluation scripts load: `robotwin`."""
