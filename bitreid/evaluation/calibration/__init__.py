"""What distances and attribute bits mean, fitted on held-out people."""
