"""Our means beside what others published of the same environments."""

from __future__ import annotations

from typing import List, Sequence

from epo.cli.study import text
from epo.cli.study.analysis import conditions, samples
from epo.cli.study.definition import StudyCfg
from epo.cli.study.outcome import Outcome
from epo.cli.study.statistics import mean, standard_error

HEADER = ("environment", "arm", "frames", "seeds", "mean", "lowest", "highest", "published")


def is_reached(value: float, reference: float, tolerance: float) -> bool:
    """Return whether a mean is at most the share `tolerance` of |reference| below it."""
    return value >= reference - tolerance * abs(reference)


def section(study: StudyCfg, outcomes: Sequence[Outcome]) -> List[str]:
    """Return the parts of the page: a table of all environments that have a reference."""
    rows, num_reached = [], 0
    for condition in conditions(study, outcomes):
        reference = study.environments[condition.environment].reference
        if reference is None or condition.number != "final" or condition.axis != "frames":
            continue
        for arm in study.arms_of(condition.environment):
            own = samples(condition, arm, outcomes)
            if not own:
                continue
            reached = is_reached(mean(own), reference, study.tolerance)
            num_reached += reached
            numbers = [text.number(n) for n in (min(own), max(own), reference)]
            shown = text.with_error(mean(own), standard_error(own))
            row = [condition.environment, f"`{arm}`", f"{condition.limit:,.0f}", str(len(own))]
            rows.append([*row, shown, *numbers, "yes" if reached else "**no**"])
    share = f"{100.0 * study.tolerance:g} %"
    said = (
        f"{num_reached} of {len(rows)} means are at most {share} below what is published, or above "
        f"it. Published: {study.reference}"
    )
    return [
        "## Beside published numbers",
        text.paragraph(said),
        text.table([*HEADER, f"reached within {share}"], rows),
    ]
