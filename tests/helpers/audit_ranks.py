"""What `torchrun` starts in a test: each rank does its part of an audit of seven rows."""

import os
import sys
from pathlib import Path

from audit_cases import make_net, make_rows

from pyxai.audit import audit

found = audit(make_net(), make_rows(7), "saliency", out=sys.argv[1], shard_size=1)
Path(sys.argv[1] + "." + os.environ["RANK"]).write_text(str(found.complete))
