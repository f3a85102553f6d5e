"""The method as pure functions and small policies: advantages, credit, replay, objectives, forcing (see ALGORITHM)."""
