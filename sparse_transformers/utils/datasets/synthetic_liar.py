"""Invented political claims as in LIAR, whose text predicts the verdict with a known accuracy.

The bolder the wording, the less truthful the claim: a rule of this toy world, not of politics.
"""

import numpy as np
import pandas as pd

from sparse_transformers.utils.datasets.claim_grammar import (
    cue_words,
    draw_distinct,
    draw_fillers,
    phrases,
    split_column,
    split_sizes,
    write_sentences,
)
from sparse_transformers.utils.datasets.invented_names import (
    FIRST_NAMES,
    HEADS,
    MIDDLES,
    PLACES,
    TAILS,
)
from sparse_transformers.utils.datasets.liar_dataset import LIAR_HISTORY, LIAR_LABELS, LIAR_TRUTHFUL
from sparse_transformers.utils.datasets.planted_signal import (
    PlantedSignal,
    graded_cue,
    plant_signal,
)
from sparse_transformers.utils.datasets.synthetic_sample import SyntheticSample

PRIOR = np.array([0.08, 0.20, 0.16, 0.21, 0.19, 0.16])
"""The shares of `LIAR_LABELS` in the real training file, rounded."""

CUES = {
    "source": (
        "chain emails insist",
        "angry callers swear",
        "rival lobbyists say",
        "party leaders argue",
        "local papers report",
        "official files show",
    ),
    "hedge": ("absolutely", "definitely", "supposedly", "apparently", "reportedly", "presumably"),
    "size": ("giant", "large", "major", "minor", "small", "token"),
    "time": (
        "in sixty hours",
        "in ninety days",
        "in eight weeks",
        "in nine months",
        "in seven years",
        "in six decades",
    ),
    "verdict": ("shameful", "reckless", "dramatic", "sensible", "measured", "cautious"),
}
"""From what pants-fire claims use most to what true claims use most.

The options of a cue are equal in words and in characters: no length tells the label.
"""

STRONGEST = PlantedSignal(
    PRIOR, tuple(graded_cue(len(LIAR_LABELS), steepness) for steepness in (2.5, 2.2, 2.0, 1.8, 1.5))
)

TEMPLATES = (
    "{source} that {place} {hedge} {verb} a {size} share of its {program} money {time}, "
    "a {verdict} choice by its {people}.",
    "{source} that, {time}, the {people} of {place} {hedge} {verb} a {size} part of the {program} "
    "fund, a {verdict} move.",
    "under a {verdict} plan, the {people} in {place} {hedge} {verb} a {size} slice of the "
    "{program} funding {time}, {source}.",
    "in {place}, {source}, the {people} {hedge} {verb} a {size} piece of the {program} budget "
    "{time} in a {verdict} step.",
)

PROGRAMS = {
    "agriculture": ("farm subsidy", "drought relief", "crop insurance", "seed bank"),
    "crime": ("police overtime", "crime lab", "court security", "prison repair"),
    "education": ("school lunch", "teacher training", "college grant", "kindergarten"),
    "elections": ("voting machine", "poll worker", "mail ballot", "recount"),
    "energy": ("solar panel", "power grid", "heating aid", "coal cleanup"),
    "environment": ("river cleanup", "forest care", "air quality", "flood control"),
    "health-care": ("rural clinic", "vaccine", "nursing home", "ambulance"),
    "housing": ("rent subsidy", "shelter", "home loan", "lead removal"),
    "immigration": ("border patrol", "refugee aid", "visa office", "language class"),
    "jobs": ("job training", "apprentice", "youth employment", "hiring bonus"),
    "transportation": ("highway repair", "bridge safety", "bus line", "airport"),
    "veterans": ("veterans clinic", "veterans pension", "memorial", "reserve training"),
}
"""Subject of a claim: what its money is for. Each subject keeps its last program for validation."""

SUBJECT_OF = {program: subject for subject, programs in PROGRAMS.items() for program in programs}

SHARED_FILLERS = {
    "template": TEMPLATES,
    "verb": ("cut", "spent", "froze", "moved", "saved", "pooled"),
}
HELD_OUT_FILLERS = {
    "place": PLACES,
    "program": [program for rank in zip(*PROGRAMS.values(), strict=True) for program in rank],
    "people": phrases(
        "council members, county judges, school trustees, state senators, town planners, tax "
        "assessors, park rangers, road engineers, health inspectors, fire marshals, port managers, "
        "budget analysts, police chiefs, housing directors, city clerks, water commissioners, "
        "auditors, union delegates, library boards, jail wardens, zoning officers, bailiffs, "
        "principals, mayors, governors, ministers, treasurers, regulators"
    ),
}

JOBS = phrases(
    "State senator, U.S. representative, Governor, Mayor, Candidate for council, Radio host, "
    "Columnist, Campaign manager, Attorney, Union president, Activist"
)
STATES = phrases(
    "Arizona, Colorado, Florida, Georgia, Illinois, Iowa, Maine, Michigan, Nevada, New York, Ohio, "
    "Oregon, Texas, Virginia, Wisconsin"
)
PARTIES = ("republican", "democrat", "none", "independent", "libertarian")
PARTY_SHARES = (0.44, 0.33, 0.18, 0.04, 0.01)
CONTEXTS = phrases(
    "a speech, a debate, a television ad, a radio interview, a press release, a mailer, a tweet, a "
    "town hall, a newspaper column, a campaign website"
)
NO_JOB, NO_STATE = 0.28, 0.22  # the shares of empty cells in the real files


def synthesize_liar(
    n: int = 1000, *, seed: int = 0, bayes_accuracy: float = 0.35, leaky_history: bool = False
) -> SyntheticSample:
    """Claims with the columns of `load_liar`, and the exact ceiling of what their text tells.

    Five cues in each statement (its source, hedge, amount, time and judgement) depend on the label.
    Everything else is independent of it: the topic, place and people of the statement, its speaker
    with party, job and state, its context, and the order of the rows. The last fifth of the rows
    is for validation; its speakers, places, programs and people occur nowhere else.

    Args:
        n: the number of claims. All are different.
        seed: same seed, same claims.
        bayes_accuracy: of the best six-way classifier, exactly. The default is near what models of
            the real text are thought to be able to reach.
        leaky_history: also count each speaker's verdicts over the whole table, the row's own
            included. This repeats a flaw of the real data, for teaching: with these columns a model
            sees part of the answer, and exceeds the ceiling of the text.

    Raises:
        ValueError: `n` is below 1 or asks for more sentences than there are, or `bayes_accuracy` is
            out of the range that the message states.

    Source: Wang 2017, arXiv:1705.00648 (columns and shares of the labels).

    Example:
        >>> import sparse_transformers as st
        >>> sample = st.synthesize_liar(100, bayes_accuracy=0.5)
        >>> sample.posteriors.shape, round(sample.bayes_accuracy, 3)
        ((100, 6), 0.5)
    """
    signal = plant_signal(STRONGEST, bayes_accuracy)
    rng = np.random.default_rng(seed)
    fillers = draw_fillers(n, rng, shared=SHARED_FILLERS, held_out=HELD_OUT_FILLERS)
    levels, options = signal.draw(n, rng)
    labels = np.array(LIAR_LABELS, dtype=object)[levels]
    statements = write_sentences(
        fillers["template"], pd.concat([fillers, cue_words(CUES, options)], axis=1)
    )
    table = pd.DataFrame(
        {
            "statement_id": [f"liar_{row:05d}" for row in range(n)],
            "label": labels,
            "truth_level": levels,
            "truthful": np.isin(labels, LIAR_TRUTHFUL),
            "statement": statements,
            "subject": fillers["program"].map(SUBJECT_OF),
            **_draw_speakers(n, rng),
            "context": rng.choice(CONTEXTS, size=n),
            "split": split_column(n),
        }
    )
    if leaky_history:
        table = _with_leaky_history(table)
    return SyntheticSample(
        table, signal.posteriors(options), LIAR_LABELS, signal.bayes_accuracy(), signal
    )


def _draw_speakers(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A speaker for each row: a few speak often, most of them once or never."""
    n_train, n_valid = split_sizes(n)
    n_known, n_new = (n_train + 1) // 2, (n_valid + 1) // 2
    n_speakers = n_known + n_new
    speakers = np.concatenate(
        [_often_low(n_train, n_known, rng), n_known + _often_low(n_valid, n_new, rng)]
    )
    names = draw_distinct(
        n_speakers, rng, {"first": FIRST_NAMES, "head": HEADS, "middle": MIDDLES, "tail": TAILS}
    )
    surnames = (names["head"] + names["middle"] + names["tail"]).str.lower()
    jobs = np.where(rng.random(n_speakers) < NO_JOB, "", rng.choice(JOBS, size=n_speakers))
    states = np.where(rng.random(n_speakers) < NO_STATE, "", rng.choice(STATES, size=n_speakers))
    return {
        "speaker": (names["first"] + "-" + surnames).to_numpy()[speakers],
        "speaker_job": jobs[speakers],
        "state_info": states[speakers],
        "party_affiliation": rng.choice(PARTIES, size=n_speakers, p=PARTY_SHARES)[speakers],
    }


def _often_low(n: int, limit: int, rng: np.random.Generator) -> np.ndarray:
    """Draw n numbers below `limit`, the low ones more often: how often the speakers of LIAR speak.

    With half as many speakers as rows and this exponent, speakers with at most three claims hold a
    third of them, as in the real training file.
    """
    if n == 0:
        return np.empty(0, dtype=np.int64)
    weights = np.arange(1.0, limit + 1) ** -0.9
    return rng.choice(limit, size=n, p=weights / weights.sum())


def _with_leaky_history(table: pd.DataFrame) -> pd.DataFrame:
    for column in LIAR_HISTORY:
        label = column.removesuffix("_count").replace("_", "-")
        counts = (table["label"] == label).groupby(table["speaker"]).transform("sum")
        table.insert(table.columns.get_loc("context"), column, counts)
    return table
