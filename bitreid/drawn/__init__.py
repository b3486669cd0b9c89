"""People who do not exist, drawn as pictures for tests, demonstrations and documentation."""
