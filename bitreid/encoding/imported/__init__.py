"""Features that another program made: reading them, and a map from them to codes."""
