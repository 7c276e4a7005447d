"""`python -m sparse_transformers <command>`."""

import sys

from sparse_transformers.cli import main

sys.exit(main())
