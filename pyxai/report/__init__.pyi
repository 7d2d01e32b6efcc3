from pyxai.report.audit.page import of_audit as of_audit
from pyxai.report.cells import Bar as Bar
from pyxai.report.cells import Shade as Shade
from pyxai.report.cells import Signed as Signed
from pyxai.report.document import Report as Report
from pyxai.report.document import Section as Section
from pyxai.report.numbers import format_number as format_number
from pyxai.report.numbers import format_seconds as format_seconds
