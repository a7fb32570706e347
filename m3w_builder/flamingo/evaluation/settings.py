"""How a model is evaluated: the paper's choices as defaults, every key validated."""

from typing import Annotated

from pydantic import Field, model_validator

from m3w_builder.config.section import Count, Positive, Ratio, Section


class Settings(Section):
    """One evaluation; `results.json` repeats all of it."""

    shots: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (0, 4, 8, 16, 32), description="examples before the query, one result each (F1 Table 3)"
    )
    rices: bool = Field(False, description="the most alike as shots, not drawn ones (F2 A.2)")
    ensemble: Count = Field(
        0,
        description="orders of the shots: log-likelihoods are averaged (F2 A.2: 6), texts vote",
    )
    abstain_below: Ratio = Field(
        0.0, description="agreement of the orders below which a case counts as not answered"
    )
    beams: Positive = Field(3, description="of open-ended answers (F2 B.1.5)")
    limit: Count = Field(
        0,
        description="new tokens; 0 = as many as the longest answer of the support has, at most 64",
    )
    queries: Count | None = Field(
        None,
        description="cases asked, per class of a classification; 0 = all (default: the task's)",
    )
    support: Positive | None = Field(
        None,
        description="cases shots are taken from, per class of a classification (default: the task's)",
    )
    seed: int = Field(0, description="of every draw")
    batch: Positive = Field(8, description="prompts that are generated together")

    @model_validator(mode="after")
    def _abstaining_needs_orders(self) -> "Settings":
        if self.abstain_below and self.ensemble < 2:
            raise ValueError(
                "abstain_below needs ensemble >= 2: agreement is between orders of the shots"
            )
        return self
