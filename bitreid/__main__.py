"""`python -m bitreid`: the command line."""

import sys

from bitreid.commands.main import main

sys.exit(main())
