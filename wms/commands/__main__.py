"""`python -m wms.commands VERB`: how a running service starts its own children."""

from __future__ import annotations

import sys

from wms.commands import main

sys.exit(main())
