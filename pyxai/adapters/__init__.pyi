"""Where each name is defined: what type checkers read, and what is imported on first use."""

from pyxai.adapters.images.image_classifier import ImageClassifier as ImageClassifier
from pyxai.adapters.language.language_model import LanguageModel as LanguageModel
from pyxai.adapters.language.result import LanguageExplanation as LanguageExplanation
from pyxai.adapters.onnx import OnnxModel as OnnxModel
from pyxai.adapters.onnx import from_onnx as from_onnx
from pyxai.adapters.sklearn import SklearnModel as SklearnModel
from pyxai.adapters.sklearn import from_sklearn as from_sklearn
from pyxai.adapters.text.text_classifier import TextClassifier as TextClassifier
from pyxai.adapters.units.tokens import Tokens as Tokens
from pyxai.adapters.units.tokens import read_tokens as read_tokens
from pyxai.adapters.units.units import Unit as Unit
from pyxai.adapters.units.units import Units as Units
from pyxai.adapters.units.units import text_units as text_units
