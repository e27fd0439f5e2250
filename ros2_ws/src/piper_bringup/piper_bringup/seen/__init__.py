"""What is seen of a run: node `monitor` counts and keeps, and a table and a page tell it at the end."""
