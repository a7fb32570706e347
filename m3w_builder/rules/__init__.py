"""The rules of `select`: text to numbers, then numbers and settings to a reason or None.

`measure_texts` runs in `extract`, the verdicts in `select`: a new threshold reads no page again.
"""

from m3w_builder.rules.page import OTHERS as OTHERS
from m3w_builder.rules.page import markdown as markdown
from m3w_builder.rules.statistics import measure as measure
from m3w_builder.rules.statistics import tokens as tokens
from m3w_builder.rules.statistics import unigrams as unigrams
from m3w_builder.rules.statistics import words as words
from m3w_builder.rules.table import RULES as RULES
from m3w_builder.rules.table import Rule as Rule
from m3w_builder.rules.table import Subject as Subject
from m3w_builder.rules.table import Verdict as Verdict
from m3w_builder.rules.table import active as active
from m3w_builder.rules.table import off as off
from m3w_builder.rules.texts import measure_texts as measure_texts
from m3w_builder.rules.texts import shares as shares
from m3w_builder.rules.verdicts import Node as Node
from m3w_builder.rules.verdicts import bounds_rule as bounds_rule
from m3w_builder.rules.verdicts import decide as decide
from m3w_builder.rules.verdicts import image_pair_rule as image_pair_rule
from m3w_builder.rules.verdicts import image_rule as image_rule
from m3w_builder.rules.verdicts import images_rule as images_rule
from m3w_builder.rules.verdicts import looks_at_texts as looks_at_texts
from m3w_builder.rules.verdicts import node_drops as node_drops
from m3w_builder.rules.verdicts import pair_rule as pair_rule
from m3w_builder.rules.verdicts import remaining as remaining
from m3w_builder.rules.verdicts import source_format as source_format
from m3w_builder.rules.verdicts import text_rule as text_rule
from m3w_builder.rules.verdicts import text_values as text_values
from m3w_builder.rules.verdicts import video_pair_rule as video_pair_rule
