"""The HTTP service over a gallery and a model, and its client."""
