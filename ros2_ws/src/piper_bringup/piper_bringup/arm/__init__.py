"""From an action chunk to limited set-points on two arms."""
