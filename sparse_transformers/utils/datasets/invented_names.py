"""Names of places and people that do not exist."""

from sparse_transformers.utils.datasets.claim_grammar import phrases

HEADS = phrases(
    "Bal, Bor, Cor, Dar, Del, Dun, Fal, Fen, Gal, Gor, Hal, Hol, Jor, Kal, Kel, Lor, Lun, Mal, "
    "Mer, Mor, Nal, Nim, Pel, Por, Quil, Ral, Ros, Sal, Sil, Tam, Tor, Ul, Val, Ver, Wal, Wen, "
    "Yar, Yor, Zan, Zel"
)
MIDDLES = ("", "a", "e", "i", "o", "u")
TAILS = phrases(
    "bek, dan, dor, fin, gath, kesh, lin, mar, nak, nor, pesh, rin, rok, sha, tek, thas, van, "
    "vik, wick, zor"
)
"""A head, a middle and a tail make a name: 4,800 in all."""

PLACES = tuple(head + tail for head, tail in zip(HEADS, TAILS * 2, strict=True))
"""Forty towns, no two with the same beginning."""

FIRST_NAMES = phrases(
    "ada, ben, carla, dario, elsa, femi, greta, hugo, ines, jonas, kira, leon, mara, nils, olga, "
    "pablo, rosa, sven, tara, umar, vera, wanda, yusuf, zoe"
)
