"""Each pattern of the literature against its definition: pictures drawn by hand, and counts."""

from math import sqrt

import pytest
import torch
from example_patterns import EXAMPLE_PATTERNS

from sparse_transformers.models import attention_patterns
from sparse_transformers.models.attention_patterns import (
    PATTERNS,
    AttentionPattern,
    AttentionSinks,
    BigBird,
    BlockSparse,
    Causal,
    Complement,
    Dense,
    DilatedWindow,
    Fixed,
    GlobalTokens,
    Intersection,
    LocalWindow,
    Longformer,
    PerHead,
    RandomSparse,
    Strided,
    Union,
    make_pattern,
)


def mask_of(picture: str) -> torch.Tensor:
    """A mask drawn row by row, `#` where attention is allowed."""
    return torch.tensor([[pair == "#" for pair in row] for row in picture.split()])


def seen_by(pattern: AttentionPattern, query: int, k_len: int) -> list[int]:
    """The keys that one query sees."""
    return pattern.allows(query, torch.arange(k_len)).nonzero().flatten().tolist()


def test_every_named_pattern_has_an_example():
    assert {type(pattern) for pattern in EXAMPLE_PATTERNS} >= set(PATTERNS.values())


def test_every_elementary_pattern_has_a_name():
    classes = {
        value
        for value in vars(attention_patterns).values()
        if isinstance(value, type) and issubclass(value, AttentionPattern)
    }
    composites = {AttentionPattern, Intersection, Union, Complement, PerHead}
    assert classes - composites == set(PATTERNS.values())


def test_dense_sees_all_and_causal_the_past_and_itself():
    assert Dense().mask(4, 6).all()
    assert torch.equal(Causal().mask(5), torch.ones(5, 5).tril().bool())
    assert torch.equal(Causal().mask(2, 5), mask_of("####. #####"))


@pytest.mark.parametrize("window_size", [1, 2, 8, 33])
def test_causal_window_sees_exactly_its_size(window_size):
    counts = (LocalWindow(window_size) & Causal()).mask(80).sum(1)

    assert counts.tolist() == [min(row + 1, window_size) for row in range(80)]


@pytest.mark.parametrize("window_size", [1, 2, 8, 33])
def test_window_sees_equally_far_on_both_sides(window_size):
    seen = seen_by(LocalWindow(window_size), 50, k_len=100)

    assert seen == list(range(50 - (window_size - 1), 50 + window_size))
    assert len(seen) == 2 * window_size - 1


@pytest.mark.parametrize(("window_size", "dilation"), [(1, 3), (4, 1), (4, 3), (5, 8)])
def test_dilated_window_sees_its_size_with_gaps(window_size, dilation):
    pattern = DilatedWindow(window_size, dilation)
    far = (window_size - 1) * dilation

    past = seen_by(pattern & Causal(), 60, k_len=120)
    assert past == list(range(60 - far, 61, dilation))
    assert len(past) == window_size
    both_sides = seen_by(pattern, 60, k_len=120)
    assert both_sides == list(range(60 - far, 60 + far + 1, dilation))


@pytest.mark.parametrize(
    ("part", "picture"),
    [
        ("local", "#....... ##...... ###..... ####.... .####... ..####.. ...####. ....####"),
        ("column", "#....... .#...... ..#..... #..#.... .#..#... ..#..#.. #..#..#. .#..#..#"),
        ("both", "#....... ##...... ###..... ####.... .####... ..####.. #..####. .#..####"),
    ],
)
def test_causal_strided_is_the_one_of_the_paper(part, picture):
    """Child et al. 2019, section 4.3: {i - l, ..., i} and {j : (i - j) mod l = 0}, here l = 3."""
    assert torch.equal((Strided(3, part) & Causal()).mask(8), mask_of(picture))


def test_strided_looks_to_both_sides():
    picture = "###.#.# ####.#. #####.# .#####. #.##### .#.#### #.#.###"
    assert torch.equal(Strided(2).mask(7), mask_of(picture))


@pytest.mark.parametrize(
    ("summary_size", "part", "picture"),
    [
        (1, "local", "#....... ##...... ###..... ####.... ....#... ....##.. ....###. ....####"),
        (1, "column", "........ ........ ........ ...#.... ...#.... ...#.... ...#.... ...#...#"),
        (1, "both", "#....... ##...... ###..... ####.... ...##... ...###.. ...####. ...#####"),
        (2, "both", "#....... ##...... ###..... ####.... ..###... ..####.. ..#####. ..######"),
    ],
)
def test_causal_fixed_is_the_one_of_the_paper(summary_size, part, picture):
    """Child et al. 2019, section 4.3: the own block of l = 4, and the last c of every block."""
    assert torch.equal((Fixed(4, summary_size, part) & Causal()).mask(8), mask_of(picture))


def test_fixed_looks_to_both_sides():
    assert torch.equal(Fixed(2).mask(5), mask_of("##.#. ##.#. .###. .###. .#.##"))


def test_global_tokens_see_all_and_are_seen_by_all():
    assert torch.equal(GlobalTokens((2,)).mask(5), mask_of("..#.. ..#.. ##### ..#.. ..#.."))
    both = mask_of("..#.# ..#.# ##### ..#.# #####")
    assert torch.equal(GlobalTokens((4, 2)).mask(5), both)
    assert torch.equal(GlobalTokens((2, 4, 99)).mask(5), both)


def test_every_query_sees_the_sinks_and_nothing_else():
    mask = AttentionSinks(3).mask(10)

    assert mask[:, :3].all()
    assert not mask[:, 3:].any()


def test_longformer_is_a_window_with_global_tokens():
    picture = "###.... ####### #####.. .#####. .###### .#.#### .#..###"
    assert torch.equal(Longformer(3, global_positions=(1,)).mask(7), mask_of(picture))
    dilated = "###### ##.#.. #.#.#. ##.#.# #.#.#. #..#.#"
    assert torch.equal(Longformer(2, dilation=2).mask(6), mask_of(dilated))


def test_block_sparse_decides_by_blocks_and_keeps_the_own():
    mask = BlockSparse(4, sparsity=0.5).mask(40)
    blocks = mask.view(10, 4, 10, 4)

    assert torch.equal(blocks.all(3).all(1), blocks.any(3).any(1))
    assert blocks.all(3).all(1).diagonal().all()
    assert 10 < blocks[:, 0, :, 0].sum() < 100


def test_bigbird_without_random_blocks_counts_window_and_global_blocks():
    """Zaheer et al. 2020, appendix D: an inner query sees (global + window) blocks."""
    counts = BigBird(4, random_blocks=0).mask(48).view(12, 4, 48).sum(2)

    assert counts.tolist() == [[n] * 4 for n in [48, 12, *[16] * 9, 12]]
    wide = BigBird(2, window_blocks=5, global_blocks=2, random_blocks=0)
    assert seen_by(wide, 20, k_len=60) == [0, 1, 2, 3, *range(16, 26)]
    assert wide.mask(30)[:4].all()
    narrow = BigBird(4, window_blocks=1, global_blocks=0, random_blocks=0)
    assert torch.equal(narrow.mask(32), Fixed(4, part="local").mask(32))


def test_bigbird_adds_at_most_its_random_blocks():
    fixed_part = BigBird(4, random_blocks=0).mask(200)
    drawn = BigBird(4, random_blocks=3, seq_len=200).mask(200) & ~fixed_part
    counts = drawn.view(50, 4, 50, 4).all(3).all(1).sum(1)

    assert not (fixed_part & ~BigBird(4, seq_len=200).mask(200)).any()
    assert counts.max() == 3
    assert drawn.sum() == counts.sum() * 16
    assert 2 < counts[1:].float().mean() < 3  # some draws fall on blocks that are seen anyway


def test_bigbird_draws_evenly_from_its_blocks():
    n_rows, n_blocks = 800, 8
    bare = {"window_blocks": 1, "global_blocks": 0, "random_blocks": 1}
    beyond_own = slice(n_blocks, None)
    hits = BigBird(1, **bare, seq_len=n_blocks).mask(n_rows)[beyond_own, :n_blocks].sum(0)

    expected = (n_rows - n_blocks) / n_blocks
    assert hits.sum() == n_rows - n_blocks
    assert (hits - expected).abs().max() < 5 * sqrt(expected)


def test_bigbird_without_length_draws_evenly_from_the_blocks_up_to_its_own():
    bare = BigBird(1, window_blocks=1, global_blocks=0, random_blocks=1)
    mask = bare.mask(600) & ~LocalWindow(1).mask(600)

    assert not (mask & ~Causal().mask(600)).any()
    rows, columns = mask.nonzero().T
    assert len(rows) > 580  # a row in 1, 2, 3, ... draws its own block
    place = (columns + 0.5) / rows
    assert abs(place.mean() - 0.5) < 5 * sqrt(1 / 12 / len(rows))
    assert place.std() == pytest.approx(sqrt(1 / 12), rel=0.1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.9])
def test_random_pairs_are_the_wanted_share(sparsity, seed):
    off_diagonal = ~torch.eye(300, dtype=torch.bool)
    drawn = RandomSparse(sparsity, seed).mask(300)[off_diagonal]
    blocks = BlockSparse(3, sparsity, seed).mask(900)[::3, ::3][off_diagonal]

    for sample in (drawn, blocks):
        share, n = 1 - sparsity, len(sample)
        assert abs(int(sample.sum()) - n * share) < 5 * sqrt(n * share * (1 - share))


def test_random_pairs_do_not_depend_on_their_neighbours_or_on_the_seed_beside():
    drawn, next_seed = (RandomSparse(0.5, seed).mask(300)[:, :299] for seed in (0, 1))
    square = drawn[:299] & ~torch.eye(299, dtype=torch.bool)
    pairs = {
        "mirrored": (square, square.T),
        "next key": (square[:, 1:], square[:, :-1]),
        "next query": (square[1:], square[:-1]),
        "next of both": (square[1:, 1:], square[:-1, :-1]),
        "next seed": (drawn, next_seed),
    }
    for name, (left, right) in pairs.items():
        agreements = int((left == right).sum())
        # Each unordered pair of positions is counted twice in the mirrored one, hence 2 n.
        n = left.numel()
        assert abs(agreements - n / 2) < 5 * sqrt(2 * n / 4) + 299, name


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: RandomSparse(0.5, seed),
        lambda seed: BlockSparse(8, 0.5, seed),
        lambda seed: BigBird(8, seed=seed),
        lambda seed: BigBird(8, seed=seed, seq_len=128),
    ],
    ids=["random", "block", "bigbird", "bigbird with length"],
)
def test_seed_decides_the_draw(make):
    masks = [make(seed).mask(128) for seed in (0, 1, 2, 0)]

    assert torch.equal(masks[0], masks[3])
    assert not torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[1], masks[2])


def test_draws_are_the_same_in_every_version():
    # A trained model depends on them: a change of the hash changes every saved random pattern.
    picture = "#..##.#. .##.#... ..#...## ...#.... ##.##... .#..##.# #.#...## ##..#..#"
    assert torch.equal(RandomSparse(0.6).mask(8), mask_of(picture))


@pytest.mark.parametrize(
    "pattern",
    [RandomSparse(1.0), BlockSparse(4, 1.0), BigBird(4), Strided(9), Fixed(9), LocalWindow(1)],
    ids=repr,
)
def test_every_query_sees_itself(pattern):
    assert pattern.mask(50).diagonal().all()


def test_sparsity_of_0_skips_nothing_and_of_1_all_but_the_own_block():
    assert RandomSparse(0.0).mask(40).all()
    assert BlockSparse(8, 0.0).mask(40).all()
    assert torch.equal(RandomSparse(1.0).mask(40), torch.eye(40, dtype=torch.bool))
    assert torch.equal(BlockSparse(8, 1.0).mask(40), Fixed(8, part="local").mask(40))


def test_lists_of_positions_or_patterns_are_as_good_as_tuples():
    assert GlobalTokens([3, 0, 3]) == GlobalTokens((0, 3))
    assert Longformer(4, [1]) == Longformer(4, (1,))
    assert PerHead([Dense(), Causal()]) == PerHead((Dense(), Causal()))


def test_make_pattern_passes_its_options_on():
    assert make_pattern("local", window_size=9) == LocalWindow(9)
    assert make_pattern("bigbird", block_size=4, seed=3) == BigBird(4, seed=3)
    assert make_pattern("causal") == Causal()


def test_make_pattern_lists_the_names_if_one_is_unknown():
    with pytest.raises(ValueError, match="unknown pattern 'lokal'") as error:
        make_pattern("lokal")
    assert all(name in str(error.value) for name in PATTERNS)


def test_make_pattern_lists_the_options_if_one_is_unknown_or_missing():
    with pytest.raises(ValueError, match=r"'fixed' has no option window; .* block_size, summary_"):
        make_pattern("fixed", window=3)
    with pytest.raises(ValueError, match=r"'dense' has no option window_size; .* none"):
        make_pattern("dense", window_size=3)
    with pytest.raises(ValueError, match="'dilated' needs the option window_size, dilation"):
        make_pattern("dilated")


@pytest.mark.parametrize(
    ("pattern_class", "options", "message"),
    [
        (LocalWindow, {"window_size": 0}, "window_size .* at least 1, got 0"),
        (LocalWindow, {"window_size": 2.5}, "window_size must be a whole number .*, got 2.5"),
        (LocalWindow, {"window_size": "8"}, "window_size must be a whole number .*, got '8'"),
        (LocalWindow, {"window_size": True}, "window_size must be a whole number .*, got True"),
        (DilatedWindow, {"window_size": -1, "dilation": 2}, "window_size .*, got -1"),
        (DilatedWindow, {"window_size": 3, "dilation": 0}, "dilation .* at least 1, got 0"),
        (Strided, {"stride": 0}, "stride .* at least 1, got 0"),
        (Strided, {"stride": 3, "part": "row"}, "part .* both, local, column, got 'row'"),
        (Fixed, {"block_size": 0}, "block_size .* at least 1, got 0"),
        (Fixed, {"block_size": 4, "summary_size": 0}, "summary_size .* at least 1, got 0"),
        (Fixed, {"block_size": 4, "summary_size": 5}, r"summary_size .* \(4\), got 5"),
        (Fixed, {"block_size": 4, "part": ""}, "part .* both, local, column, got ''"),
        (BlockSparse, {"block_size": 0, "sparsity": 0.5}, "block_size .* at least 1, got 0"),
        (BlockSparse, {"block_size": 4, "sparsity": 1.5}, "sparsity .* 0 and 1, got 1.5"),
        (BlockSparse, {"block_size": 4, "sparsity": 0.5, "seed": 1.5}, "seed .* got 1.5"),
        (RandomSparse, {"sparsity": -0.1}, "sparsity .* 0 and 1, got -0.1"),
        (RandomSparse, {"sparsity": "half"}, "sparsity .* 0 and 1, got 'half'"),
        (RandomSparse, {"sparsity": float("nan")}, "sparsity .* 0 and 1, got nan"),
        (RandomSparse, {"sparsity": 0.5, "seed": "x"}, "seed .* got 'x'"),
        (GlobalTokens, {"positions": ()}, r"positions must be .*, got \(\)"),
        (GlobalTokens, {"positions": (4, -1)}, "positions .* at least 0, got -1"),
        (GlobalTokens, {"positions": (0, 2.5)}, "positions .* whole number.*, got 2.5"),
        (GlobalTokens, {"positions": 3}, "positions must be a sequence.*, got 3"),
        (GlobalTokens, {"positions": "03"}, "positions must be a sequence.*, got '03'"),
        (AttentionSinks, {"count": 0}, "count .* at least 1, got 0"),
        (Longformer, {"window_size": 0}, "window_size .* at least 1, got 0"),
        (Longformer, {"window_size": 4, "dilation": 0}, "dilation .* at least 1, got 0"),
        (Longformer, {"window_size": 4, "global_positions": ()}, r"global_positions .* \(\)"),
        (BigBird, {"block_size": 0}, "block_size .* at least 1, got 0"),
        (BigBird, {"block_size": 4, "window_blocks": 2}, "window_blocks must be odd .*, got 2"),
        (BigBird, {"block_size": 4, "window_blocks": -1}, "window_blocks .*, got -1"),
        (BigBird, {"block_size": 4, "global_blocks": -1}, "global_blocks .* 0, got -1"),
        (BigBird, {"block_size": 4, "random_blocks": -1}, "random_blocks .* 0, got -1"),
        (BigBird, {"block_size": 4, "seq_len": 0}, "seq_len .* at least 1, got 0"),
        (BigBird, {"block_size": 4, "seed": None}, "seed .* got None"),
    ],
)
def test_bad_option_is_named_with_its_value(pattern_class, options, message):
    with pytest.raises(ValueError, match=message):
        pattern_class(**options)
