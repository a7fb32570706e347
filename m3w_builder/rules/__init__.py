"""The rules of `select`: text to numbers, then numbers and settings to a reason or None.

`measure` runs in `extract`, the verdicts in `select`: a new threshold reads no page again.
"""

from m3w_builder.rules.statistics import measure as measure
from m3w_builder.rules.statistics import tokens as tokens
from m3w_builder.rules.statistics import unigrams as unigrams
from m3w_builder.rules.statistics import words as words
from m3w_builder.rules.verdicts import RULES as RULES
from m3w_builder.rules.verdicts import Rule as Rule
from m3w_builder.rules.verdicts import Subject as Subject
from m3w_builder.rules.verdicts import Verdict as Verdict
from m3w_builder.rules.verdicts import decide as decide
from m3w_builder.rules.verdicts import image_pair_rule as image_pair_rule
from m3w_builder.rules.verdicts import image_rule as image_rule
from m3w_builder.rules.verdicts import markdown as markdown
from m3w_builder.rules.verdicts import video_pair_rule as video_pair_rule
