import pytest

from sparse_transformers.training.metrics import MetricsLog, read_metrics


def test_row_is_in_the_file_at_once(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.append({"step": 1, "loss": 0.5})
    assert read_metrics(tmp_path / "metrics.jsonl") == [{"step": 1, "loss": 0.5}] == log.rows


def test_resumed_log_drops_later_rows(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n')
    log = MetricsLog(path, last_step=2)
    log.append({"step": 3, "again": True})
    assert read_metrics(path) == [{"step": 1}, {"step": 2}, {"step": 3, "again": True}] == log.rows


@pytest.mark.parametrize("torn", ['{"st', '{"step": 2'])
def test_line_cut_short_by_a_kill_is_left_out(tmp_path, torn):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n' + torn)
    MetricsLog(path, last_step=9).append({"step": 2})
    assert read_metrics(path) == [{"step": 1}, {"step": 2}]


def test_new_log_empties_the_file(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n')
    MetricsLog(path)
    assert path.read_text() == ""


def test_log_without_a_path_keeps_rows_in_memory():
    log = MetricsLog(None)
    log.append({"step": 1})
    assert log.rows == [{"step": 1}]


def test_value_that_json_cannot_hold_is_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        MetricsLog(tmp_path / "metrics.jsonl").append({"step": 1, "loss": float("nan")})
