"""Programs of others as rows: what they read and write, and every way in which they fail."""

import shlex
import sys
import time

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from data.codecs import parse
from evaluation.program import Program, ProgramError, ProgramOptions
from utils.images import decode_image


def program(command, **values):
    return Program(ProgramOptions(command=command, **values))


def python(code, *more):
    """A command that runs Python code with both files' paths as arguments."""
    return shlex.join([sys.executable, "-S", "-c", code, "{input}", "{output}", *more])


@pytest.fixture
def photo(photos):
    return photos["coffee"]


def test_a_copy_gives_the_picture_back_and_takes_time(photo):
    restored, seconds = program("cp {input} {output}")(photo, b"", photo.shape[:2])
    np.testing.assert_array_equal(restored, photo)
    assert 0 < seconds < 60


def test_the_compressed_file_itself_is_read(photo):
    picture, data = parse("jpeg20:400").roundtrip(photo)
    copy = program("cp {input} {output}", input="compressed", output=".jpg")
    restored, _ = copy(picture, data, photo.shape[:2])
    np.testing.assert_array_equal(restored, decode_image(data, "x"))
    for data in (b"", b"no image"):
        with pytest.raises(ProgramError, match="use `input: png`"):
            copy(picture, data, photo.shape[:2])


def test_no_shell_sees_the_command(photo, tmp_path):
    mark = tmp_path / "mark"
    with pytest.raises(ProgramError, match="status"):
        program(f"cp {{input}} {{output}} ; touch {mark}")(photo, b"", photo.shape[:2])
    with pytest.raises(ProgramError):
        program(f"cp {{input}} {{output}} $(touch {mark})")(photo, b"", photo.shape[:2])
    assert not mark.exists()


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("false {input} {output}", r"^false: ended with status 1$"),
        ("true {input} {output}", r"^true: ended well, but wrote no \{output\}$"),
        ("cp /dev/null {output} {input}", r"^cp: "),
        (python("open(__import__('sys').argv[2], 'w').write('no image')"), "cannot be read"),
        (python("print('two\\nlines \\x1b[31m'); raise SystemExit('the last words')"), r"status 1 \(the last words\)$"),
    ],
)
def test_failures_say_why_on_one_line(photo, command, why):
    with pytest.raises(ProgramError, match=why) as error:
        program(command)(photo, b"", photo.shape[:2])
    assert len(str(error.value).splitlines()) == 1 and str(error.value).isprintable()


def test_a_picture_of_another_size_is_refused(photo):
    with pytest.raises(ProgramError, match=r"wrote 161×159 pixels where 322×318 are needed"):
        program("cp {input} {output}")(photo, b"", (318, 322))


def test_a_program_that_takes_too_long_is_ended_with_all_that_it_started(photo, tmp_path):
    alive = tmp_path / "alive"
    child = f"import time; time.sleep(3); open({str(alive)!r}, 'w')"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {child!r}])"
    started = time.monotonic()
    with pytest.raises(ProgramError, match="not done after 1 s"):
        program(python(code), timeout_s=1)(photo, b"", photo.shape[:2])
    time.sleep(max(0, 4.5 - (time.monotonic() - started)))
    assert not alive.exists()


def test_a_program_that_is_not_there_is_named():
    with pytest.raises(ProgramError, match="no-such-program: no such program"):
        program("no-such-program {input} {output}")


def test_its_results_hang_on_the_program_and_the_files_among_its_arguments(tmp_path):
    script = tmp_path / "script"
    script.write_text("one")
    before = program(f"cp {{input}} {{output}} {script}").facts
    assert program(f"cp {{input}} {{output}} {script}", timeout_s=5).facts == before
    script.write_text("two")
    assert program(f"cp {{input}} {{output}} {script}").facts != before
    assert program(f"cp {{input}} {{output}} {script}", input="compressed").facts != before


@pytest.mark.parametrize(
    "values",
    [
        {"command": "cp {input}"},
        {"command": "{input} {output}"},
        {"command": "cp '{input} {output}"},
        {"command": "cp {input} {output}", "output": "/../x"},
        {"command": "cp {input} {output}", "timeout_s": 0},
    ],
)
def test_commands_that_cannot_work_are_refused(values):
    with pytest.raises(ValidationError):
        ProgramOptions(**values)


def test_grey_files_are_read_as_three_channels(photo, tmp_path):
    code = "import sys, shutil; shutil.copy(sys.argv[3], sys.argv[2])"
    grey = tmp_path / "grey.png"
    cv2.imwrite(str(grey), photo[..., 0])
    restored, _ = program(python(code, str(grey)))(photo, b"", photo.shape[:2])
    np.testing.assert_array_equal(restored, np.repeat(photo[..., :1], 3, axis=2))
