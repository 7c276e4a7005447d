"""Claims and their truthfulness: tables, corpora, tokenizers, and a classifier of claims."""
