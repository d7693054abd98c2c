"""OutputSpread: how far rounding moves one output of a model. `spread` computes it."""

from __future__ import annotations

from dataclasses import replace

from isobench.record import record

EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7, "int8": 2.0**-10}
"""One unit in the last place of 1, for each arithmetic; of quantised models, an eighth of a step of 8 bits."""


@record(frozen=True, slots=True, kw_only=True)
class OutputSpread:
    """What rounding does to one output.

    `spread` is None where no evaluation succeeded, or where whole numbers have none. `arithmetic` is the narrowest
    type that the model computes with. `random` says that the model computed something else the second time, `varies`
    that the shape differed, then or after a perturbation. `unstable` is the number of unstable elements, `not_finite`
    of NaNs and infinities.
    `step` is the difference between neighbouring values of a quantised output; 0 for others.
    """

    name: str
    arithmetic: str = "float32"
    evaluations: int = 0
    spread: float | None = None
    random: bool = False
    varies: bool = False
    unstable: int = 0
    not_finite: int = 0
    step: float = 0.0

    @property
    def amplification(self) -> float | None:
        """The spread in units of the last place: how many of them one unit becomes."""
        return None if self.spread is None else self.spread / EPS[self.arithmetic]

    def lowered(self, arithmetic: str) -> OutputSpread:
        """The spread of the same model in an arithmetic with fewer bits."""
        if EPS.get(arithmetic, 0.0) <= EPS[self.arithmetic]:
            return self
        ratio = EPS[arithmetic] / EPS[self.arithmetic]
        return replace(
            self, arithmetic=arithmetic, spread=None if self.spread is None else min(1.0, self.spread * ratio)
        )
