"""Items as arrays in memory."""
