"""The log of scores: what is read is what was written, whatever a kill has left."""

import math
import threading
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.score_log import Record, ScoreLog, key_of, stamp
from utils.errors import UserError


def record(key="a" * 64, psnr=28.125, **values):
    return Record(key, "model/set/jpeg10/a.png", {"psnr_y": psnr}, 0.5, 0.25, None, **values)


def figures(records):
    return {key: found.scores["psnr_y"] for key, found in records.items()}


def test_round_trip_of_every_float(tmp_path):
    log = ScoreLog(tmp_path / "scores", 0)
    values = {"a": math.pi, "b": math.inf, "c": 0.1 + 0.2, "d": -0.0}
    for key, value in values.items():
        log.append(record(key, value))
    assert figures(log.read()) == values
    assert log.read()["a"].bits_per_pixel == 0.5 and log.read()["a"].png is None


def test_the_newest_of_a_key_counts_whichever_rank_wrote_it(tmp_path):
    first, second = ScoreLog(tmp_path, 0), ScoreLog(tmp_path, 1)
    second.append(record(psnr=1.0))
    first.append(record(psnr=2.0))
    assert figures(first.read()) == {"a" * 64: 2.0}
    second.append(record(psnr=3.0))
    assert figures(first.read()) == figures(second.read()) == {"a" * 64: 3.0}


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(min_value=0, max_value=2000))
def test_a_file_cut_anywhere_keeps_its_whole_lines_and_goes_on(tmp_path_factory, cut):
    log = ScoreLog(tmp_path_factory.mktemp("log"), 0)
    for key in ("a", "b", "c"):
        log.append(record(key, 28.0))
    content = log.path.read_bytes()
    log.path.write_bytes(content[:cut])
    whole = content[:cut].count(b"}\n") + content[:cut].endswith(b"}")
    # A line whose end alone is missing is whole; one cut inside its object is not.
    left = log.read()
    assert len(left) in (whole, content[:cut].count(b"\n"))
    log.append(record("d", 29.0))
    assert figures(log.read()) == {**figures(left), "d": 29.0}


def test_lines_of_something_else_are_passed_over(tmp_path):
    log = ScoreLog(tmp_path, 0)
    log.append(record())
    with log.path.open("ab") as file:
        file.write(b'\xff\xfe\x00 not text\n[]\n{}\nnull\n"key"\n{"key": "k", "scores": [1]}\n')
    assert len(log.read()) == 1


def test_threads_do_not_mix_their_lines(tmp_path):
    log = ScoreLog(tmp_path, 0)
    threads = [
        threading.Thread(target=lambda n=n: [log.append(record(f"{n}-{k}", 1.0)) for k in range(50)]) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(log.read()) == 200


def test_what_a_record_has(tmp_path):
    png = tmp_path / "a.png"
    png.write_bytes(b"a")
    kept = Record("k", "p", {"psnr_y": 1.0}, None, 0.1, stamp(png))
    assert kept.has(["psnr_y"]) and kept.has([]) and not kept.has(["psnr_y", "ssim_y"])
    assert kept.has_picture(png) and not record().has_picture(png)  # it was not written then
    png.write_bytes(b"ab")
    assert not kept.has_picture(png)
    png.unlink()
    assert not kept.has_picture(png)


def test_keys_differ_with_every_fact():
    facts = [{"a": 1}, {"a": 2}, {"a": "1"}, {"b": 1}, {"a": 1, "b": None}, {"a": {"b": 1}}]
    assert len({key_of(fact) for fact in facts}) == len(facts)
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "scores").write_text("a file")
    with pytest.raises(UserError, match=r"scores/rank0\.jsonl: cannot be written"):
        ScoreLog(tmp_path / "scores", 0).append(record())


@settings(max_examples=100, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_loses_a_line_or_changes_nothing(tmp_path_factory, place, bit):
    log = ScoreLog(tmp_path_factory.mktemp("log"), 0)
    for key in ("a", "b"):
        log.append(record(key, 32.182676))
    content = bytearray(log.path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    log.path.write_bytes(content)
    assert figures(log.read()).items() <= {"a": 32.182676, "b": 32.182676}.items()


def test_a_changed_figure_is_not_used_and_said(tmp_path, capsys):
    log = ScoreLog(tmp_path, 0)
    log.append(record("a", 32.182676))
    log.append(record("b", 30.0))
    log.path.write_bytes(log.path.read_bytes().replace(b"32.182676", b"52.182676"))
    assert figures(log.read()) == {"b": 30.0}
    assert "rank0.jsonl: 1 lines have no right checksum" in capsys.readouterr().err


def test_json_that_is_nested_without_end_is_passed_over(tmp_path):
    log = ScoreLog(tmp_path, 0)
    log.append(record())
    log.path.write_bytes(b"[" * 100_000 + b"\n" + log.path.read_bytes())
    assert len(log.read()) == 1


def test_a_clock_set_back_does_not_make_the_new_record_the_older_one(tmp_path, monkeypatch):
    log = ScoreLog(tmp_path, 0)
    first = log.append(record(psnr=1.0))
    monkeypatch.setattr("evaluation.score_log.time.time", lambda: first.at - 365 * 86400)
    second = log.append(replace(first, scores={"psnr_y": 2.0}))
    assert second.at > first.at and figures(log.read()) == {"a" * 64: 2.0}
    ScoreLog(tmp_path, 1).append(replace(second, scores={"psnr_y": 3.0}))
    assert figures(log.read()) == {"a" * 64: 3.0}
