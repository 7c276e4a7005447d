"""Claims from seven domains as in MultiFC, invented, with a credibility that their wording tells.

As in the political claims, bold wording stands for little credibility.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sparse_transformers.utils.datasets.claim_grammar import (
    check_at_least_one,
    cue_words,
    draw_distinct,
    phrases,
    seen_words,
    split_column,
    unseen_words,
    write_sentences,
)
from sparse_transformers.utils.datasets.invented_names import PLACES
from sparse_transformers.utils.datasets.planted_signal import (
    PlantedSignal,
    graded_cue,
    plant_signal,
)
from sparse_transformers.utils.datasets.synthetic_sample import SyntheticSample

MULTIFC_LABELS = ("Not Credible", "Mostly Not Credible", "Mixed", "Mostly Credible", "Credible")
"""From the least to the most credible."""

PRIOR = np.array([0.10, 0.15, 0.30, 0.25, 0.20])

CUES = {
    "source": (
        "a chain letter warns",
        "a viral video claims",
        "a company blog holds",
        "a daily paper writes",
        "a trade journal says",
    ),
    "degree": ("strongly", "markedly", "steadily", "modestly", "slightly"),
    "time": (
        "in two minutes",
        "in sixty hours",
        "in three weeks",
        "in nine months",
        "in seven years",
    ),
    "comment": ("shocking", "striking", "puzzling", "probable", "moderate"),
    "basis": ("hearsay", "opinion", "surveys", "studies", "reviews"),
}
"""From the least to the most credible; equal in words and characters, as in `synthetic_liar`."""

STRONGEST = PlantedSignal(
    PRIOR,
    tuple(graded_cue(len(MULTIFC_LABELS), steepness) for steepness in (2.5, 2.2, 2.0, 1.8, 1.5)),
)

TEMPLATES = {
    "Statistical": "in figures that {people} in {place} keep, {source}, {thing} {degree} {verb}s "
    "mean {outcome} {time}, a {comment} number based on {basis}.",
    "Causal": "{source} that {thing} {degree} {verb}s {outcome}, as {people} in {place} saw "
    "{time}, a {comment} effect based on {basis}.",
    "Definitional": "{source} that whatever can {degree} {verb} {outcome} {time} counts as {thing} "
    "among {people} in {place}, a {comment} usage based on {basis}.",
    "Predictive": "{source} that {thing} will {degree} {verb} {outcome} {time}, as {people} in "
    "{place} expect, a {comment} forecast based on {basis}.",
    "Historical": "{source} that {thing} once began to {degree} {verb} {outcome} {time}, as "
    "{people} in {place} recall, a {comment} account based on {basis}.",
}
"""Claim type: its sentence."""

THINGS = {
    "Politics": phrases(
        "a televised debate, early voting, a ballot reform, a party merger, an open primary, mail "
        "voting, a recall drive, a tax pledge, a town meeting, a term limit, a poster campaign, a "
        "coalition deal"
    ),
    "Health": phrases(
        "green tea, a daily walk, cold water, raw honey, oat porridge, herbal soap, bright light, "
        "deep breathing, loud music, fresh garlic, night work, a short nap"
    ),
    "Science": phrases(
        "cosmic dust, a solar flare, deep ice, volcanic ash, moonlight, wild pollen, sea salt, a "
        "strong tide, rainwater, magnetic rock, forest smoke, river clay"
    ),
    "Technology": phrases(
        "a smart lock, voice search, a phone app, cloud storage, a home robot, online banking, a "
        "drone fleet, facial login, a chat program, solar charging, a video call, remote work"
    ),
    "Economics": phrases(
        "a sugar tax, cheap credit, free parking, a toll road, rent control, a weak currency, "
        "online trade, a bank merger, a steel tariff, a wage freeze, seasonal hiring, a harvest "
        "subsidy"
    ),
    "Sports": phrases(
        "altitude training, artificial turf, home support, a new coach, a rest day, video "
        "refereeing, beet juice, cold bathing, a lighter shoe, an early kickoff, winter training, "
        "a narrow pitch"
    ),
    "Entertainment": phrases(
        "a sequel, a film festival, live streaming, a late premiere, celebrity gossip, a radio "
        "drama, street theater, a dance craze, subtitled cinema, a book club, a board game, a "
        "puppet show"
    ),
}
"""Domain: what its claims are about."""

OUTCOMES = {
    "Politics": phrases(
        "voter turnout, party loyalty, campaign spending, public trust, protest size, council "
        "attendance, petition numbers, media coverage, debate length, donor interest, ballot "
        "errors, staff turnover"
    ),
    "Health": phrases(
        "blood pressure, sleep quality, back pain, heart rate, bone density, skin tone, lung "
        "capacity, eye strain, muscle mass, body weight, joint pain, hand tremor"
    ),
    "Science": phrases(
        "soil moisture, cloud cover, plant growth, seed size, air pressure, water clarity, insect "
        "numbers, bird migration, wave height, leaf color, compass error, frost depth"
    ),
    "Technology": phrases(
        "battery life, screen time, repair costs, data usage, typing speed, home security, office "
        "noise, power bills, signal strength, upload speed, customer trust, error counts"
    ),
    "Economics": phrases(
        "bread prices, household debt, shop sales, youth employment, export volume, savings rates, "
        "land values, factory output, consumer spending, freight costs, rental income, loan "
        "defaults"
    ),
    "Sports": phrases(
        "goal counts, sprint speed, injury rates, ticket sales, match length, passing accuracy, "
        "team spirit, jump height, foul numbers, training hours, reaction time, penalty success"
    ),
    "Entertainment": phrases(
        "ticket revenue, audience size, album sales, subscription numbers, laughter volume, "
        "viewing time, fan mail, theater employment, festival attendance, song length, screen "
        "rentals, matinee prices"
    ),
}
"""Domain: what its claims say is changed."""

DOMAINS = tuple(THINGS)

VERBS = ("raise", "lower", "alter", "limit", "affect", "change")
PEOPLE = phrases(
    "nurses, farmers, bakers, teachers, sailors, miners, painters, plumbers, dentists, builders, "
    "cyclists, gardeners, students, tailors, joggers, librarians, couriers, electricians, "
    "pensioners, translators, carpenters, musicians, lifeguards, weavers"
)
SOURCE_TYPES = ("News Article", "Social Media", "Speech", "Interview", "Report", "Blog")
FIRST_DAY, N_DAYS = "2020-01-01", 1461


def synthesize_multifc(
    n: int = 1000, *, seed: int = 0, bayes_accuracy: float = 0.45
) -> SyntheticSample:
    """Claims of seven domains, equally probable, and the exact ceiling of what their text tells.

    Five cues in each claim (its source, degree, time, comment and basis) depend on the label, in
    all domains alike. Everything else is independent of it: what the claim is about, its domain and
    type, the kind of source it is filed under, its date, a confidence score, and the order of the
    rows. The last fifth of the rows is for validation; what their claims are about, and the places
    and people in them, occur nowhere else.

    Args:
        n: the number of claims. All are different.
        seed: same seed, same claims.
        bayes_accuracy: of the best five-way classifier, exactly.

    Returns:
        The table has the columns `claim`, `label`, `domain`, `claim_type`, `language` (always
        "en"), `source_type`, `confidence_score` (0.3 to 0.95), `date`, `claim_id`, `split`.

    Raises:
        ValueError: `n` is below 1 or asks for more claims than there are, or `bayes_accuracy` is
            out of the range that the message states.

    Source: Augenstein et al. 2019, arXiv:1909.03242 (the real data set).

    Example:
        >>> import sparse_transformers as st
        >>> sample = st.synthesize_multifc(100, bayes_accuracy=0.6)
        >>> sample.posteriors.shape, round(sample.bayes_accuracy, 3)
        ((100, 5), 0.6)
    """
    check_at_least_one("n", n)
    rng = np.random.default_rng(seed)
    return _synthesize(rng.choice(DOMAINS, size=n), rng, bayes_accuracy)


def synthesize_cross_domain(
    domains: Sequence[str] = DOMAINS,
    samples_per_domain: int = 200,
    *,
    seed: int = 0,
    bayes_accuracy: float = 0.45,
) -> SyntheticSample:
    """As `synthesize_multifc`, but with as many claims of each domain as asked for, in any order.

    Train on some domains and test on another to measure what carries over: the cues mean the same
    in all of them, and only the subject matter differs.

    Raises:
        ValueError: a domain is unknown or named twice, none is named, or as for
            `synthesize_multifc`.
    """
    if not domains or len(set(domains)) < len(domains) or not set(domains) <= set(DOMAINS):
        raise ValueError(
            f"domains must be different ones of {', '.join(DOMAINS)}, at least one, got {domains!r}"
        )
    check_at_least_one("samples_per_domain", samples_per_domain)
    rng = np.random.default_rng(seed)
    rows = rng.permutation(np.repeat(np.array(domains, dtype=object), samples_per_domain))
    return _synthesize(rows, rng, bayes_accuracy)


def _synthesize(
    domains: np.ndarray, rng: np.random.Generator, bayes_accuracy: float
) -> SyntheticSample:
    """Claims of the given domains, one per row."""
    signal = plant_signal(STRONGEST, bayes_accuracy)
    n = len(domains)
    fillers = _draw_fillers(domains, rng)
    labels, options = signal.draw(n, rng)
    words = pd.concat([fillers, cue_words(CUES, options)], axis=1)
    days = pd.Timestamp(FIRST_DAY) + pd.to_timedelta(rng.integers(N_DAYS, size=n), unit="D")
    table = pd.DataFrame(
        {
            "claim": write_sentences(fillers["claim_type"].map(TEMPLATES), words),
            "label": np.array(MULTIFC_LABELS, dtype=object)[labels],
            "domain": domains,
            "claim_type": fillers["claim_type"],
            "language": "en",
            "source_type": rng.choice(SOURCE_TYPES, size=n),
            "confidence_score": rng.uniform(0.3, 0.95, size=n).round(3),
            "date": days.strftime("%Y-%m-%d"),
            "claim_id": [f"multifc_{row:05d}" for row in range(n)],
            "split": split_column(n),
        }
    )
    return SyntheticSample(
        table, signal.posteriors(options), MULTIFC_LABELS, signal.bayes_accuracy(), signal
    )


def _draw_fillers(domains: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """Words for each row's domain; the validation rows' own ones in the last fifth."""
    splits = np.array(split_column(len(domains)))
    parts = []
    for domain in np.unique(domains):
        for split, choose in (("train", seen_words), ("valid", unseen_words)):
            rows = np.flatnonzero((domains == domain) & (splits == split))
            pools = {
                "claim_type": tuple(TEMPLATES),
                "verb": VERBS,
                "thing": choose(THINGS[domain]),
                "outcome": choose(OUTCOMES[domain]),
                "people": choose(PEOPLE),
                "place": choose(PLACES),
            }
            parts.append(draw_distinct(len(rows), rng, pools).set_index(rows))
    return pd.concat(parts).sort_index()
