"""Where each name is defined: what type checkers read, and what is imported on first use."""

from pyxai.adapters.units.tokens import Tokens as Tokens
from pyxai.adapters.units.tokens import read_tokens as read_tokens
from pyxai.adapters.units.units import Unit as Unit
from pyxai.adapters.units.units import Units as Units
from pyxai.adapters.units.units import text_units as text_units
