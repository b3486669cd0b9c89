"""The command line: a file for each command, with its arguments and what it does; `main` puts them together."""
